"""Step 1 of relighting: score each photograph's light, keep the best, split them into train, val and test."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from shared.readers.split_names import READ_NAMES
from shared.selection.files import copy_photographs, rows_at, write_passed_over, write_tables
from shared.splits import SPLITS, assign_by_counts, assign_by_ratios, lowest_draws, split_draw
from shared.start import run
from shared.worker import Loaded, Worker

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.run.run import Step
    from shared.selection.choice import Choice

Shares = tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat]
Counts = tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
GridSide = Annotated[int, Field(ge=1, le=20)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
PromptPairs = Annotated[list[tuple[Text, Text]], Field(min_length=1)]

USUAL_SHARES = (0.8, 0.1, 0.1)
CLIP_METHODS = ("clip", "clip_antonym")
METHODS_OF_OPTION = {
    "prompts": ("clip",),
    "prompt_pairs": ("clip_antonym",),
    "describe_light": CLIP_METHODS,
    "save_embeddings": CLIP_METHODS,
}


@dataclass
class Filter(Worker):
    """Score each photograph's light; keep the best and split them into train, val and test."""

    method: Annotated[
        Literal["photometric", "clip", "clip_antonym"],
        Field(description="what scores the light: pixels, or CLIP by descriptions of good light or by pairs of words"),
    ] = "photometric"
    batch_size: Annotated[NonNegativeInt, Field(description="0 is what suits the method: 1, and 32 for CLIP")] = 0
    model_name: Annotated[str, Field(description="CLIP: this, ViT-B/16, ViT-L/14 or any of open_clip")] = "ViT-B/32"
    checkpoint: Annotated[
        str, Field(description="CLIP: a pretrained tag, a file of weights, or a folder from the Hub")
    ] = "openai"
    prompts: Annotated[
        Texts | None, Field(description="clip: what well-lit photographs are called, instead of the seven built in")
    ] = None
    prompt_pairs: Annotated[
        PromptPairs | None, Field(description="clip_antonym: each with its opposite, instead of those built in")
    ] = None
    describe_light: Annotated[
        bool, Field(description="CLIP: measure the light too, as photometric does; 0.1 s of a CPU core a photograph")
    ] = False
    save_embeddings: Annotated[bool, Field(description="CLIP: keep the vectors, in embeddings/")] = False
    compile_model: Annotated[
        bool, Field(description="CLIP on a GPU: torch.compile; pays for a large model and many photographs")
    ] = False
    num_images: Annotated[PositiveInt, Field(description="keep this many, best first")] = 50000
    keep_share: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None,
        Field(description="keep this share of what may be kept, best first, and no more than num_images"),
    ] = None
    select: Annotated[
        Literal["top", "diverse"],
        Field(description="top: the best; diverse: the best of each kind of light, as varied as all are"),
    ] = "top"
    duplicates: Annotated[
        Literal["once", "all"],
        Field(description="of near-duplicates keep the largest, of equal ones the best; or all of them, in one split"),
    ] = "once"
    graphics: Annotated[
        Literal["pass_over", "keep"],
        Field(description="what is no photograph: floor plans, drawings, screenshots, text pages, plain colours"),
    ] = "pass_over"
    min_size: Annotated[NonNegativeInt, Field(description="keep none whose shorter side is less, in pixels")] = 0
    min_sharpness: Annotated[
        float, Field(ge=0, le=1, description="keep none less sharp, 0 to 1; 0.3 leaves out what is blurred")
    ] = 0
    faces: Annotated[
        Literal["any", "require", "none"],
        Field(description="keep only photographs with a face, or without; 0.02 s each to look"),
    ] = "any"
    no_save_scores: Annotated[bool, Field(description="write no all_scores.csv")] = False
    copy_images: Annotated[bool, Field(description="copy what is kept to filtered_images/{rank:06d}_{name}")] = False
    split_ratios: Annotated[
        Shares | None,
        Field(
            description="shares of train, val and test, kept to exactly; null: about 0.8, 0.1, 0.1, a photograph stays in its "
            "split when others are added, and in the one that the input gives it"
        ),
    ] = None
    split_counts: Annotated[
        Counts | None, Field(description="sizes of train, val and test instead of the ratios; at most so many are kept")
    ] = None
    split_seed: Annotated[int | None, Field(description="seed of the splits; null is the run's seed")] = None
    create_grid: Annotated[bool, Field(description="draw top_images_grid.png")] = True
    grid_size: Annotated[tuple[GridSide, GridSide], Field(description="rows and columns of the grid of the best")] = (
        4,
        4,
    )
    cutoff: Annotated[
        PositiveInt | None, Field(description="verify a cut after this many instead of after those kept")
    ] = None
    interval: Annotated[
        PositiveInt | None, Field(description="ranks in each row of threshold_analysis.csv; else a tenth of all")
    ] = None

    rater: Any = field(init=False, default=None)  # what the method is done with, made by setup()

    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {"compile_model"}
    collect_options: ClassVar[frozenset[str]] = frozenset(
        [
            "num_images",
            "keep_share",
            "select",
            "duplicates",
            "graphics",
            "min_size",
            "min_sharpness",
            "no_save_scores",
            "copy_images",
            "split_ratios",
            "split_counts",
            "split_seed",
            "create_grid",
            "grid_size",
            "cutoff",
            "interval",
        ]
    )

    def check(self, label: str) -> None:
        from shared.errors import ConfigError

        for name, shares in (("split_ratios", self.split_ratios), ("split_counts", self.split_counts)):
            if shares is not None and not sum(shares) > 0:
                message = f"{label}: {name} is {list(shares)}; one of train, val and test must be above 0"
                raise ConfigError(message)
        for name, methods in METHODS_OF_OPTION.items():
            if getattr(self, name) and self.method not in methods:
                raise ConfigError(f"{label}: {name} is for method: {' or '.join(methods)}, and method is {self.method}")
        if self.select == "diverse" and self.method in CLIP_METHODS and not self.describe_light:
            raise ConfigError(f"{label}: select: diverse needs the light that describe_light: true measures")
        if self.method in CLIP_METHODS:
            from shared.models.clip_weights import is_path

            if is_path(self.checkpoint) and not Path(self.checkpoint).exists():
                way_out = "it should be a file of weights or a folder from the Hub"
                raise ConfigError(f"{label}: the checkpoint {self.checkpoint} does not exist; {way_out}")

    def fill_in(self, label: str) -> None:
        if not self.batch_size:
            self.batch_size = 32 if self.method in CLIP_METHODS else 1

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model
        from shared.models.clip_weights import is_path

        models = []
        if self.method in CLIP_METHODS:
            packages = ("torch", "torchvision", "open_clip_torch", "huggingface_hub")
            name, tag, option = self.model_name, self.checkpoint, "model_name"
            if is_path(self.checkpoint):
                name, tag, option = self.checkpoint, "", "checkpoint"
            models = [Model(name, option, "clip", packages, tag=tag, is_halved=True)]
        keeps = min(self.num_images, sum(self.split_counts or (self.num_images,)))
        return Forecast(models, keeps, images=int(self.copy_images))

    def setup(self) -> None:
        if self.method == "photometric":
            from shared.selection.scoring.photometric import PhotometricRater

            self.rater = PhotometricRater()
            self.rater.looks_for_faces = self.faces != "any"
            return
        from shared.selection.scoring.clip import ClipRater

        texts = self.prompts if self.method == "clip" else self.prompt_pairs
        self.rater = ClipRater(self.method, self.model_name, self.checkpoint, texts, self.compile_model)
        self.rater.describes_light, self.rater.saves_embeddings = self.describe_light, self.save_embeddings
        self.rater.looks_for_faces = self.faces != "any"

    def load(self, item: dict) -> Any:
        return self.rater.load(item)

    def process(self, batch: list[Loaded]) -> list[dict]:
        return self.rater.rate(batch)

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        if self.method == "photometric" or not self.rater.is_queued:
            return super().stream(loaded)
        from shared.loop.overlap import overlapped

        return overlapped(self, loaded, lambda batch: self.rater.begin(batch, self.batch_size))

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict]:
        from shared.files.small_files import write_json
        from shared.selection.choice import Choice, said_of
        from shared.selection.passed_over import Limits
        from shared.selection.pictures import write_pictures
        from shared.selection.ranking import statistics

        limits = Limits(self.min_size, self.min_sharpness, self.faces, self.duplicates, self.graphics)
        count = min(self.num_images, sum(self.split_counts or (self.num_images,)))
        choice = Choice.of(rows, limits, self.select, count, self.keep_share or 1.0)
        kept, scores = choice.kept, choice.measured.scores
        splits = self.split(rows, choice, step)
        write_tables(rows, kept, splits, step, None if self.no_save_scores else choice.everything)
        write_passed_over(rows, choice, step)
        numbers, chosen = statistics(scores[kept]), choice.numbers()
        write_json(step.folder / "statistics.json", numbers)
        write_json(step.folder / "selection.json", chosen)
        if len(kept):
            best = scores[kept]
            range_of_scores = f"scores {best.min():.3f} to {best.max():.3f}, mean {best.mean():.3f}"
            step.tell(f"{len(kept)} of {len(rows)} photographs kept, {range_of_scores}")
        if len(kept) == len(choice.ranking) > 0:
            ways = (
                f"num_images is {self.num_images:,}; keep_share: 0.5 keeps half"
                if not self.keep_share
                else "all are kept"
            )
            step.tell(f"nothing is filtered by score: all {len(kept):,} that may be kept are ({ways})")
        for sentence in said_of(chosen):
            step.tell(sentence)
        grid = self.grid_size if self.create_grid else None
        write_pictures(rows, choice, step, self.cutoff, self.interval, grid)
        if self.copy_images:
            copy_photographs(rows, kept, step.folder / "filtered_images")
        return in_input_order(rows, kept, splits)

    def split(self, rows: "Table", choice: "Choice", step: "Step") -> np.ndarray:
        """The split of each kept row, (k,) int8, near-duplicates together."""
        seed = step.seed if self.split_seed is None else self.split_seed
        kept, groups = choice.kept, choice.passed_over.groups
        # A picture's lowest draw decides, also of copies that are not kept: it stays where it is when a better copy arrives.
        others = np.flatnonzero(~choice.is_kept & np.isin(groups, groups[kept]))
        members = np.concatenate([kept, others])
        said = ((split_draw(seed, row["key"]), given_split(row)) for row in rows_at(rows, members))
        table = np.fromiter(said, "u8,i1", len(members))
        draws = lowest_draws(table["f0"], groups[members])[: len(kept)]
        if self.split_counts:
            return assign_by_counts(draws, groups[kept], self.split_counts)
        if self.split_ratios:
            return assign_by_counts(draws, groups[kept], self.split_ratios)
        given = table["f1"][: len(kept)]
        if count := int((given >= 0).sum()):
            step.tell(f"{count:,} of {len(kept):,} stay in the split that the input gives them")
        return np.where(given >= 0, given, assign_by_ratios(draws, groups[kept], USUAL_SHARES))


def given_split(row: dict) -> int:
    """The place in SPLITS of the split that a row came with; -1 where it came with none."""
    split = READ_NAMES.get(str(row.get("split") or ""))
    return SPLITS.index(split) if split else -1


def in_input_order(rows: "Table", kept: np.ndarray, splits: np.ndarray) -> Iterator[dict]:
    for position in np.argsort(kept):
        yield {**rows[int(kept[position])], "split": SPLITS[splits[position]]}


if __name__ == "__main__":
    run(Filter)
