"""Triplets as they lie in a folder, in any form that merge writes: found, and read one by one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.dataset import Source
from shared.errors import RunError
from shared.files.small_files import read_json as read_object
from shared.readers.imagefolder import image_folder_metadata
from shared.readers.json_rows import read_json_lines, read_json_rows
from shared.readers.row import RowReader
from shared.readers.split_names import READ_NAMES

NAMES = tuple(f"{stem}.{ending}" for stem in ("metadata", "instructions", "data") for ending in ("jsonl", "json"))
IMAGES = ("input_image_path", "image_path")  # of an item: what the model sees, and what it learns to make
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.parquet")


@dataclass(frozen=True)
class TripletSet:
    """One form of the triplets in one place. `columns`: the input image, the instruction, the edited image."""

    path: Path
    columns: tuple[str, str, str]
    split: str = ""  # where the folder says it; else each item does
    has_keys: bool = False  # so that a run that reads it needs each to be another

    def items(self) -> Iterator[dict]:
        """Items with IMAGES, the instruction under its column and "split". Raises DatasetError."""
        source, _, target = self.columns
        if self.path.is_dir():
            for item in Source(str(self.path), image_key=[target, source]).items():
                yield {"split": item.get("dataset_split") or "train", **item}
            return
        reader = TripletRows(self.path, str(self.path.parent), target, more_images=(source,))
        read = read_json_rows if self.path.suffix == ".json" else read_json_lines
        for item in read(self.path, reader):
            yield {**item, "split": self.split or "all"}

    def faults(self) -> Iterator[str]:
        """What is wrong with the files themselves, before a row is read."""
        if self.path.is_dir():
            files = sorted(self.path.glob("*.parquet")) or sorted((self.path / "data").glob("*.parquet"))
            yield from missing_shards(files)
            yield from (fault for file in files for fault in unmarked_images(file, self.columns))

    def stated(self) -> int | None:
        """How many triplets the stats.json beside the metadata tells of, None where there is none."""
        if self.path.is_dir():
            return None
        return read_object(self.path.parent / "stats.json").get("total_samples")


class TripletRows(RowReader):
    """Merge's own metadata leads to images in other steps' folders."""

    def leaves(self, written: str) -> bool:
        return False


def find_triplets(folder: Path, metadata_file: str | None = None) -> list[TripletSet]:
    """All sets in `folder`, a merge step's or one that was made elsewhere. Raises RunError where there are none."""
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; start the run with ./launcher.sh, or name another folder")
    if metadata_file is not None:
        path = folder / metadata_file
        if not path.is_file() or path.suffix not in (".json", ".jsonl"):
            raise RunError(f"there is no {path} that ends in .json or .jsonl")
        return [TripletSet(path, ("input_image", "instruction", "output_image"))]
    sets = [one for place in (folder, folder / "dataset") if place.is_dir() for one in datasets_in(place)]
    if folder not in [one.path for one in sets]:
        for place, split in [(folder, ""), *((folder / name, split) for name, split in READ_NAMES.items())]:
            there = [place / name for name in NAMES if (place / name).is_file()]
            sets += [TripletSet(path, ("input_image", "instruction", "output_image"), split) for path in there[:1]]
    if not sets:
        raise RunError(
            f"{folder} holds no triplets: there is no {', '.join(NAMES)} in it or in its folders train, val and test, and "
            "it is no folder that the datasets library loads"
        )
    return sets


def datasets_in(folder: Path) -> Iterator[TripletSet]:
    names = {path.name for path in folder.iterdir()}
    is_dataset = (
        image_folder_metadata(folder, names)
        or "dataset_dict.json" in names
        or {"state.json", "dataset_info.json"} <= names
        or any(folder.glob("*.parquet"))
        or any(folder.glob("data/*.parquet"))
    )
    if is_dataset:
        yield TripletSet(folder, ("input_image", "edit_prompt", "edited_image"), has_keys=True)


def missing_shards(files: list[Path]) -> Iterator[str]:
    """train-00000-of-00003.parquet tells of two more."""
    shards = [match for file in files if (match := SHARD.fullmatch(file.name))]
    there = {match[0] for match in shards}
    for name, count in sorted({(match[1], match[3]) for match in shards}):
        for number in range(int(count)):
            if (shard := f"{name}-{number:05d}-of-{count}.parquet") not in there:
                yield f"the file {shard} is missing"


def unmarked_images(file: Path, columns: tuple[str, str, str]) -> Iterator[str]:
    """Columns of bytes that the datasets library would not decode, for nothing says that they are images."""
    import orjson
    import pyarrow
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(file)
        features = orjson.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    except (pyarrow.ArrowException, OSError, ValueError):
        return  # told when it is read
    for column in (columns[0], columns[2]):
        if column in schema.names and features.get(column, {}).get("_type") != "Image":
            yield f"the column {column} of {file.name} is not marked as an image, so that trainers do not decode it"
