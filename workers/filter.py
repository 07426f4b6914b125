"""Step 1 of relighting: score each photograph's light, keep the best, split them into train, val and test."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from shared.names import file_name
from shared.splits import SPLITS, assign_by_counts, assign_by_ratios, split_draw
from shared.worker import Loaded, Worker, run

if TYPE_CHECKING:
    from shared.forecast import Forecast
    from shared.run import Step
    from shared.table import Table

log = logging.getLogger("worker")

Shares = tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat]
Counts = tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt]
Side = Annotated[int, Field(ge=1, le=20)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Pairs = Annotated[list[tuple[Text, Text]], Field(min_length=1)]

CLIP_METHODS = ("clip", "clip_antonym")
METHODS_OF_OPTION = {
    "prompts": ("clip",),
    "prompt_pairs": ("clip_antonym",),
    "describe_light": CLIP_METHODS,
    "save_embeddings": CLIP_METHODS,
}

SCORE_COLUMNS = {"image_path": "image_path", "lighting_score": "lighting_score"}


@dataclass
class Filter(Worker):
    """Score each photograph's light; keep the best and split them into train, val and test."""

    method: Literal["photometric", "clip", "clip_antonym"] = "photometric"  # photometric: from pixels, without a model
    batch_size: NonNegativeInt = 0  # 0 is what suits the method: 1, and 32 for CLIP
    model_name: str = "ViT-B/32"  # CLIP: this, ViT-B/16, ViT-L/14 or any of open_clip
    checkpoint: str = "openai"  # CLIP: a pretrained tag, a file of weights, or a folder from the Hub
    prompts: Texts | None = None  # clip: what well-lit photographs are called, instead of the seven built in
    prompt_pairs: Pairs | None = None  # clip_antonym: each with its opposite, instead of those built in
    describe_light: bool = False  # CLIP: measure the light too, as photometric does; 0.1 s of a CPU core a photograph
    save_embeddings: bool = False  # CLIP: keep the vectors, in embeddings/
    compile_model: bool = False  # CLIP on a GPU: torch.compile; pays for a large model and many photographs
    num_images: PositiveInt = 50000  # keep this many, best first
    min_size: NonNegativeInt = 0  # keep none whose shorter side is less, in pixels
    no_save_scores: bool = False  # write no all_scores.csv
    copy_images: bool = False  # copy what is kept to filtered_images/{rank:06d}_{name}
    split_ratios: Shares = (0.8, 0.1, 0.1)  # train, val, test
    split_counts: Counts | None = None  # train, val, test; instead of the ratios, and at most so many are kept
    split_seed: int | None = None  # the run's seed where it is not given
    create_grid: bool = True  # draw top_images_grid.png
    grid_size: tuple[Side, Side] = (4, 4)  # rows, columns
    cutoff: PositiveInt | None = None  # verify a cut after this many instead of after those kept

    rater: Any = field(init=False, default=None)  # what the method is done with, made by setup()

    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {"compile_model"}
    collect_options: ClassVar[frozenset[str]] = frozenset(
        [
            "num_images",
            "min_size",
            "no_save_scores",
            "copy_images",
            "split_ratios",
            "split_counts",
            "split_seed",
            "create_grid",
            "grid_size",
            "cutoff",
        ]
    )

    def check(self, label: str) -> None:
        from shared.config import ConfigError

        for name, shares in (("split_ratios", self.split_ratios), ("split_counts", self.split_counts)):
            if shares is not None and not sum(shares) > 0:
                message = f"{label}: {name} is {list(shares)}; one of train, val and test must be above 0"
                raise ConfigError(message)
        for name, methods in METHODS_OF_OPTION.items():
            if getattr(self, name) and self.method not in methods:
                raise ConfigError(f"{label}: {name} is for method: {' or '.join(methods)}, and method is {self.method}")
        if self.method in CLIP_METHODS:
            from shared.neural.clip_weights import is_path

            if is_path(self.checkpoint) and not Path(self.checkpoint).exists():
                way_out = "it should be a file of weights or a folder from the Hub"
                raise ConfigError(f"{label}: the checkpoint {self.checkpoint} does not exist; {way_out}")
        if not self.batch_size:
            self.batch_size = 32 if self.method in CLIP_METHODS else 1

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model
        from shared.neural.clip_weights import is_path

        models = []
        if self.method in CLIP_METHODS:
            packages = ("torch", "torchvision", "open_clip_torch", "huggingface_hub")
            name, tag, option = self.model_name, self.checkpoint, "model_name"
            if is_path(self.checkpoint):
                name, tag, option = self.checkpoint, "", "checkpoint"
            models = [Model(name, option, "clip", packages, tag=tag, is_halved=True)]
        return Forecast(
            models, min(self.num_images, sum(self.split_counts or (self.num_images,))), int(self.copy_images)
        )

    def setup(self) -> None:
        if self.method == "photometric":
            from shared.light.rater import PhotometricRater

            self.rater = PhotometricRater()
            return
        from shared.neural.clip_rater import ClipRater

        texts = self.prompts if self.method == "clip" else self.prompt_pairs
        self.rater = ClipRater(self.method, self.model_name, self.checkpoint, texts, self.compile_model)
        self.rater.describes_light, self.rater.saves_embeddings = self.describe_light, self.save_embeddings

    def load(self, item: dict) -> Any:
        return self.rater.load(item)

    def process(self, batch: list[Loaded]) -> list[dict]:
        return self.rater.rate(batch)

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        if self.method == "photometric" or not self.rater.is_queued:
            return super().stream(loaded)
        from shared.neural.overlap import overlapped

        return overlapped(self, loaded, lambda batch: self.rater.begin(batch, self.batch_size))

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict]:
        from shared.selection import Verification, rank, statistics
        from shared.tables import write_bytes, write_json

        measured = Measured.of(rows)
        everything = rank(measured.scores, lambda index: rows[index]["key"])
        ranking = everything[measured.shorter_sides[everything] >= self.min_size]
        kept = ranking[: min(self.num_images, sum(self.split_counts or (self.num_images,)))]
        splits = self.split(rows, measured, kept, step.seed)
        self.write_tables(rows, everything, kept, splits, step)
        numbers = statistics(measured.scores[kept])
        write_json(step.folder / "statistics.json", numbers)
        if len(kept):
            scores = "scores {min:.3f} to {max:.3f}, mean {mean:.3f}".format(**numbers)
            step.tell(f"{len(kept)} of {len(rows)} photographs kept, {scores}")
        write_bytes(step.folder / "score_distribution.png", distribution(measured.scores, kept))
        verification = Verification(rows, measured.scores, ranking, self.cutoff or len(kept), step.seed)
        verification.write(step.folder)
        if self.create_grid:
            lines, columns = self.grid_size
            best = range(min(lines * columns, len(kept)))
            title = f"The {len(best)} best of {len(rows):,} photographs"
            grid = verification.sheet(title, {"": best}, columns)
            write_bytes(step.folder / "top_images_grid.png", grid)
        if self.copy_images:
            copy_photographs(rows, kept, step.folder / "filtered_images")
        return in_input_order(rows, kept, splits)

    def split(self, rows: "Table", measured: "Measured", kept: np.ndarray, run_seed: int) -> np.ndarray:
        """The split of each kept row, (k,) int8, near-duplicates together."""
        from shared.duplicates import near_duplicate_groups

        seed = run_seed if self.split_seed is None else self.split_seed
        drawn = (split_draw(seed, row["key"]) for row in rows_at(rows, kept))
        draws = np.fromiter(drawn, np.uint64, len(kept))
        groups = near_duplicate_groups(measured.hashes[kept], measured.mirrored[kept])
        if self.split_counts:
            return assign_by_counts(draws, groups, self.split_counts)
        return assign_by_ratios(draws, groups, self.split_ratios)

    def write_tables(
        self, rows: "Table", everything: np.ndarray, kept: np.ndarray, splits: np.ndarray, step: "Step"
    ) -> None:
        """All scores, what is kept, and each split, best first."""
        from shared.tables import project, whole_file, write_csv, write_json_list

        folder, run_folder = step.folder, step.run.folder
        if not self.no_save_scores:
            write_csv(folder / "all_scores.csv", SCORE_COLUMNS, rows_at(rows, everything), run_folder)
        write_json_list(folder / "filtered_images.json", SCORE_COLUMNS, rows_at(rows, kept), run_folder)
        with whole_file(folder / "filtered_images.txt") as file:
            for row in rows_at(rows, kept):
                file.write(project(SCORE_COLUMNS, row, folder, run_folder)["image_path"] + "\n")
        for number, split in enumerate(SPLITS):
            members = rows_at(rows, kept[splits == number])
            write_csv(folder / f"{split}_images.csv", SCORE_COLUMNS, members, run_folder)


class Measured(NamedTuple):
    """What the selection needs of all rows, in their order: 28 bytes a row, so that ten million fit."""

    scores: np.ndarray  # float64
    hashes: np.ndarray  # uint64, pHash
    mirrored: np.ndarray  # uint64, pHash of the mirror image
    shorter_sides: np.ndarray  # int32, pixels

    @classmethod
    def of(cls, rows: "Table") -> "Measured":
        kinds = [("score", "f8"), ("hash", "u8"), ("mirrored", "u8"), ("side", "i4")]
        table = np.fromiter(
            (
                (
                    row["lighting_score"],
                    int(row["phash"], 16),
                    int(row["phash_mirrored"], 16),
                    min(row["width"], row["height"]),
                )
                for row in rows
            ),
            kinds,
            len(rows),
        )
        return cls(*(table[name].copy() for name, _ in kinds))


def rows_at(rows: "Table", indices: np.ndarray) -> Iterator[dict]:
    return (rows[int(index)] for index in indices)


def in_input_order(rows: "Table", kept: np.ndarray, splits: np.ndarray) -> Iterator[dict]:
    for position in np.argsort(kept):
        yield {**rows[int(kept[position])], "split": SPLITS[splits[position]]}


def distribution(scores: np.ndarray, kept: np.ndarray) -> bytes:
    from shared.plots import histogram

    is_kept = np.zeros(len(scores), dtype=bool)
    is_kept[kept] = True
    return histogram(scores, f"Lighting scores of {len(scores):,} photographs", "lighting score", is_kept)


def copy_photographs(rows: "Table", kept: np.ndarray, folder: Path) -> None:
    """Copy the kept photographs, byte for byte, named by rank; copies of an earlier selection are removed."""
    from shared.images import ImageError, read_bytes
    from shared.tables import write_bytes

    names = set()
    for position, row in enumerate(rows_at(rows, kept)):
        # A photograph in a tar or a Parquet file has no file name of its own; its key is one.
        original = Path(row["key"] if row.get("image_member") else row["image_path"])
        name = file_name(f"{position:06d}_{original.stem}", original.suffix)
        try:
            write_bytes(folder / name, read_bytes(row))
        except ImageError as error:
            log.warning("not copied: %s", error)
        names.add(name)
    for other in folder.iterdir() if folder.exists() else ():
        if other.name not in names:
            other.unlink()


if __name__ == "__main__":
    run(Filter)
