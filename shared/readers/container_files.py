"""The tars, Arrow and Parquet files that a folder is made of, by their splits."""

from shared.far.far_path import AnyPath, names_in
from shared.readers.columnar import saved_splits
from shared.readers.folder import has_image_suffix
from shared.readers.split_names import FOLDER_NAMES, split_of_file

# A folder of these is read file by file. img2dataset lays Parquet beside its tars, so tars come first.
CONTAINERS = (".tar", ".arrow", ".parquet")


def splits_in(folder: AnyPath) -> list[tuple[dict, list[AnyPath]]]:
    """The container files that `folder` is made of, with what items say of their split; none for a folder of photographs."""
    names = sorted(name for name in names_in(folder) if not name.startswith("."))
    if "dataset_dict.json" in names or {"state.json", "dataset_info.json"} <= set(names):
        return [({"dataset_split": split} if split else {}, files) for split, files in saved_splits(folder)]
    for suffix in CONTAINERS:
        files = [folder / name for name in names if name.lower().endswith(suffix)]
        if files and any(map(has_image_suffix, names)):
            return []  # photographs with a table or an archive beside them, which the walk names
        if files:
            return _by_split(files)
    data = folder / "data"
    if not data.is_dir() or any(map(has_image_suffix, names)):
        return []
    return _by_split([data / name for name in sorted(names_in(data)) if name.endswith(".parquet") and name[0] != "."])


def _by_split(files: list[AnyPath]) -> list[tuple[dict, list[AnyPath]]]:
    """train, val and test where the names of the files say so, and then the others."""
    named = [split_of_file(file.name) for file in files]
    splits = [split for split in (*FOLDER_NAMES, None) if split in named]
    return [
        ({"split": split} if split else {}, [file for file, name in zip(files, named, strict=True) if name == split])
        for split in splits
    ]
