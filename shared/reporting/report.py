"""report.html, for the person who must decide whether to train on a run, and gallery.html, to look through it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.errors import RunError
from shared.files.small_files import write_text
from shared.files.table import Table
from shared.reporting.cut_pictures import cut_pictures_of
from shared.reporting.drawn import contact_sheets_of
from shared.reporting.failures import failures_of
from shared.reporting.funnel import FunnelStage, stages_of, triplet_counts
from shared.reporting.gallery import gallery_of
from shared.reporting.gallery_page import gallery_page
from shared.reporting.histograms import Spread, spread
from shared.reporting.lint import lints_of
from shared.reporting.profile import Profile, light_of
from shared.reporting.rejects import Rejects, examples_of
from shared.reporting.scores import selection_of
from shared.reporting.settings import settings_shown
from shared.reporting.trained import scores_of, trainings_of
from shared.reporting.unselected import unselected_of
from shared.run.run import Run
from shared.splits import SPLITS

TEMPLATES = Path(__file__).parent


def write_report(run: Run) -> Path:
    """Write report.html and gallery.html into the run's folder, each whole or not at all; the same run, the same bytes.

    The report is complete in itself: style, script and thumbnails are in it. The gallery has its data in it, and shows
    the files beside it. However many items there are, neither has more than some ten megabytes. Raises RunError where
    there is no run yet.
    """
    if not run.input.result_path.exists():
        raise RunError(f"{run.folder} holds no run yet; start it with ./launcher.sh")
    path = run.report_path
    told = content(run)
    write_text(run.folder / "gallery.html", filled_template("gallery.html.jinja", told["page"]))
    write_text(path, filled_template("report.html.jinja", told))
    return path


def filled_template(template: str, told: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Keys and keywords come from outside; with autoescape none of them can be markup.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment.get_template(template).render(told)


def content(run: Run) -> dict[str, Any]:
    """Everything that the page shows."""
    items = len(Table(run.input.result_path))
    stages = stages_of(run, items)
    table = last_table(run)
    profile = Profile(table)
    selection = selection_of(run)
    rejected = list(rejects_of(stages, selection.cut if selection else None))
    triplets = triplet_counts(run)
    splits = triplets or (profile.split_counts if any(profile.split_counts.values()) else {})
    lints, sheets = lints_of(run), contact_sheets_of(run)
    return {
        "name": run.folder.name,
        "heading": heading(bool(triplets or selection), bool(sheets), bool(lints)),
        "config": run.config.path.name,
        "input": run.input.read_made().get("settings", {}).get("input", ""),
        "items": items,
        "stages": stages,
        "is_complete": all(stage.is_complete for stage in stages),
        "failed": sum(stage.lost("failed") for stage in stages),
        "triplets": triplets,
        "splits": splits,
        # What was evaluated is a split, and says nothing of the others.
        "remarks": list(remarks(stages, splits if not len(profile.known_gains) else {})),
        "selection": selection,
        "verification": cut_pictures_of(selection.step) if selection else None,
        "light": light_of(profile),
        "psnr": spread(profile.psnr),
        "ssim": spread(profile.ssim),
        "changes": list(changes_of(profile)),
        "trainings": trainings_of(run),
        "scores": scores_of(run),
        "gains": spread(profile.known_gains),
        "phrases": profile.frequent_phrases(),
        "described": len(profile.wordings),
        "different_wordings": profile.different_wordings,
        "questions": profile.questions,
        "tokens": (profile.prompt_tokens, profile.completion_tokens),
        "dollars": profile.dollars,
        "gallery": gallery_of(run, table, profile),
        "lints": lints,
        "sheets": sheets,
        "rejected": rejected,
        "examples_of": examples_of,
        "page": gallery_page(run, table, profile, stages, rejected),
        "settings": [settings_shown(step) for step in run.steps],
    }


def changes_of(profile: Profile) -> Iterator[tuple[str, str, int, Spread | None]]:
    """What was measured of the change inside the subjects: a label, a unit, digits and the values."""
    shown = (("PSNR", " dB", 1), ("SSIM", "", 3), ("turn", "°", 0))
    for (label, unit, digits), values in zip(shown, profile.changes.values(), strict=True):
        if values:
            yield label, unit, digits, spread(values)


def heading(has_triplets: bool, has_images: bool, has_captions: bool) -> str:
    """What the run is about."""
    if has_triplets:
        return "From items to triplets"
    if has_images:
        return "From items to images"
    return "From items to captions" if has_captions else "What became of the items"


def rejects_of(stages: list[FunnelStage], cut: float | None) -> Iterator[Rejects]:
    """What failed in each step, and what it has looked at and not passed on."""
    for stage in stages:
        if stage.lost("failed"):
            yield failures_of(stage.step)
        if stage.has_unselected:
            yield unselected_of(stage, cut)


def last_table(run: Run) -> Table:
    """The table that knows most of each item: the last one that is made."""
    made = [step.result_path for step in run.steps if step.result_path.exists()]
    return Table(made[-1] if made else run.input.result_path)


def remarks(stages: list[FunnelStage], splits: dict[str, int]) -> Iterator[str]:
    """What a person should know before anything else, a sentence each."""
    for stage in stages:
        if not stage.is_begun:
            yield f"{stage.step.label} has not begun."
        elif stage.lost("left") and not stage.step.worker.has_records:
            yield f"{stage.step.label} has not been made of the {stage.taken:,} items before it."
        elif left := stage.lost("left"):
            yield f"{stage.step.label} is not finished: {left:,} of {stage.taken:,} items are left."
        if stage.foreign:
            yield f"{stage.step.label} has {stage.foreign:,} records of items that its input no longer has."
    if splits.keys() & set(SPLITS):
        yield from (f"The split {split} is empty." for split in SPLITS if not splits.get(split))
