"""Triplets as trainers load them: a folder of the datasets library, FLUX.2's columns, ai-toolkit's folders."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.errors import ImageError
from shared.files.names import sha256
from shared.files.small_files import write_synced
from shared.files.whole_folder import WholeFolder
from shared.images import image_of
from shared.loop.in_order import in_order
from shared.readers.split_names import FOLDER_NAMES
from shared.triplets.embedded_images import IMAGE, TEXT_TYPE, EmbeddedImages
from shared.triplets.pictures import StoredPicture, picture_of

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step
    from shared.triplets.roles import DatasetOptions

SHOWN_IN_CARD = 5  # triplets of a split that are left out and named


class Triplet(NamedTuple):
    """`source` is what the model sees, `target` what it learns to make; `name` is for files, of the key alone."""

    name: str
    instruction: str
    source: StoredPicture
    target: StoredPicture


def write_datasets(
    step: "Step", rows: "Table", kept: Mapping[str, np.ndarray], roles: Mapping[str, str], options: "DatasetOptions"
) -> None:
    """Write dataset/ and the layouts into the step's folder; `kept` are the rows that are triplets, by split.

    `roles`: the fields that are input_image, instruction and output_image. Rows are streamed, folders appear whole or not
    at all, and one that is not asked for any more goes. An image that cannot be read costs its triplet, which is told.
    """
    wanted: dict[str, Write] = {"dataset": write_files if options.images == "files" else write_embedded_split}
    wanted |= {layout: LAYOUTS[layout] for layout in options.layouts}
    for name in ("dataset", *LAYOUTS):
        if name not in wanted:
            shutil.rmtree(step.folder / name, ignore_errors=True)
            continue
        counts: dict[str, int] = {}
        left_out = 0
        with WholeFolder(step.folder / name) as whole:
            for split, indices in kept.items():
                if not len(indices):
                    continue
                triplets = Triplets(rows, indices, roles)
                folder_name = FOLDER_NAMES[split or "train"]
                wanted[name](triplets, folder_name, whole.new, whole.path)
                counts[folder_name] = triplets.count
                left_out += triplets.left_out
                for sentence in triplets.reasons:
                    step.tell(f"{name}: left out: {sentence}")
            if name == "dataset" and counts:
                write_synced(whole.new / "README.md", card_of(counts, options.images == "files").encode())
        shown = ", ".join(f"{count} {split}" for split, count in counts.items()) or "no triplets"
        step.tell(f"{name}: {shown}" + (f"; {left_out} left out" if left_out else ""))


def card_of(counts: Mapping[str, int], has_files: bool) -> str:
    """The dataset's card, in Markdown."""
    rows = "\n".join(f"| {split} | {count} |" for split, count in counts.items())
    images = (
        "The images are hard links to those of the run and, where the file system allows, to the photographs themselves: they "
        "take no room, and what is changed in one place is changed in the other. Copy the folder (`cp -r`) before you edit it."
        if has_files
        else "The images are inside the Parquet files."
    )
    return f"""# Triplets for relighting

Each row has `input_image`, the photograph with its light taken out or degraded; `edit_prompt`, what light to bring back; and
`edited_image`, the photograph. `datasets.load_dataset` reads this folder.

| Split | Triplets |
|---|---|
{rows}

{images}
"""


class Triplets:
    """The triplets of one split, read once and in their order."""

    def __init__(self, rows: "Table", indices: np.ndarray, roles: Mapping[str, str]) -> None:
        self.rows, self.indices, self.roles = rows, indices, roles
        self.count = 0
        self.left_out = 0
        self.reasons: list[str] = []  # of the first few

    def each(self, prepare: Callable[[Triplet], dict]) -> Iterator[dict]:
        """What `prepare` makes of each, on threads."""
        for made in in_order(partial(self._made, prepare), map(int, self.indices)):
            if isinstance(made, ImageError):
                self.left_out += 1
                self.reasons += [str(made)] if self.left_out <= SHOWN_IN_CARD else []
            else:
                self.count += 1
                yield made

    def _made(self, prepare: Callable[[Triplet], dict], index: int) -> dict | ImageError:
        row = self.rows[index]
        try:
            source, target = (picture_of(image_of(row, self.roles[role])) for role in ("input_image", "output_image"))
        except ImageError as error:
            return error
        return prepare(Triplet(image_name(row["key"]), row[self.roles["instruction"]], source, target))


def image_name(key: str) -> str:
    """The key's last part, with what any file system and any loader takes, and 16 hex digits that tell keys apart.

    No folders: the datasets library takes one that is called test for a split.
    """
    stem = re.sub(r"[^\w.-]+", "_", PurePosixPath(key).stem).lstrip(".")[:40]
    return f"{stem}-{sha256(key)[:16]}"


def write_files(triplets: Triplets, split: str, new: Path, before: Path) -> None:
    """<split>/metadata.jsonl and the images beside it."""

    def prepare(triplet: Triplet) -> dict:
        names = {}
        for column, ending, picture in (
            ("input_image", "input", triplet.source),
            ("edited_image", "edited", triplet.target),
        ):
            names[column] = f"images/{triplet.name}-{ending}{picture.suffix}"
            picture.place(new / split / names[column], before / split / names[column])
        return {
            "input_image_file_name": names["input_image"],
            "edit_prompt": triplet.instruction,
            "edited_image_file_name": names["edited_image"],
        }

    (new / split / "images").mkdir(parents=True)
    with open(new / split / "metadata.jsonl", "w", encoding="utf-8", errors="surrogateescape") as file:
        for row in triplets.each(prepare):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    if not triplets.count:
        shutil.rmtree(new / split)


def write_embedded_split(triplets: Triplets, split: str, new: Path, _: Path) -> None:
    """data/<split>-00000-of-0000N.parquet."""
    columns = {"input_image": IMAGE, "edit_prompt": TEXT_TYPE, "edited_image": IMAGE}
    write_embedded(triplets, split, new, columns)


def write_flux2(triplets: Triplets, split: str, new: Path, _: Path) -> None:
    """The columns of diffusers' img2img example for FLUX.2: --cond_image_column=file_name --image_column=output.

    Always embedded: a folder of images cannot have an image column of that name.
    """
    write_embedded(triplets, split, new, {"file_name": IMAGE, "instruction": TEXT_TYPE, "output": IMAGE})


def write_embedded(triplets: Triplets, split: str, new: Path, columns: Mapping[str, str]) -> None:
    """`columns`: the input image, the words, the edited image."""

    def prepare(triplet: Triplet) -> dict:
        source = {"bytes": triplet.source.read(), "path": f"{triplet.name}-input{triplet.source.suffix}"}
        target = {"bytes": triplet.target.read(), "path": f"{triplet.name}-edited{triplet.target.suffix}"}
        return dict(zip(columns, (source, triplet.instruction, target), strict=True))

    (new / "data").mkdir(exist_ok=True)
    file = EmbeddedImages(new / "data", split, columns)
    for row in triplets.each(prepare):
        file.add(row)
    file.close()


def write_ai_toolkit(triplets: Triplets, split: str, new: Path, before: Path) -> None:
    """<split>/target (folder_path) with a .txt for each image, and <split>/control (control_path), by the same names."""

    def prepare(triplet: Triplet) -> dict:
        for name, picture in (("control", triplet.source), ("target", triplet.target)):
            place = Path(split, name, triplet.name + picture.suffix)
            picture.place(new / place, before / place)
        write_synced(new / split / "target" / f"{triplet.name}.txt", triplet.instruction.encode())
        return {}

    for name in ("control", "target"):
        (new / split / name).mkdir(parents=True)
    for _ in triplets.each(prepare):
        pass
    if not triplets.count:
        shutil.rmtree(new / split)


Write = Callable[[Triplets, str, Path, Path], None]
LAYOUTS: dict[str, Write] = {"flux2": write_flux2, "ai_toolkit": write_ai_toolkit}
