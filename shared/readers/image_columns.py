"""The columns of an input that hold images, and the fields of an item that say where those are."""

from typing import Any


def image_columns(image_key: Any) -> tuple[str, ...]:
    """The columns that an `image_key` names, the photograph's first; none where it is None. Raises ValueError."""
    names = [] if image_key is None else [image_key] if isinstance(image_key, str) else image_key
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"image_key is {image_key!r}; it should be a column, or a list of columns")
    if image_key is not None and not names:
        raise ValueError("image_key is an empty list; leave it empty where there are no images")
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        raise ValueError(f"image_key names the column {doubled!r} twice")
    if "image" in names[1:]:
        raise ValueError("image_key should have the column 'image' first, for image_path is where the first one goes")
    return tuple(names)


def image_prefix(place: int, column: str) -> str:
    """What the item's fields are called: image_path of the first column, <column>_path of the others."""
    return column if place else "image"
