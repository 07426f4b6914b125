"""A person's own reader: a Python file with `read(path) -> Iterator[dict]`, and `load(row) -> bytes` where rows name no files."""

import importlib.util
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.errors import DatasetError

_WINDOW = 64  # photographs that stay at hand, because threads take neighbours out of order


def open_reader(file: str) -> ModuleType:
    """The reader's module, run once in this process. Raises DatasetError with what is wrong with it."""
    return _module(file, Path(file).stat().st_mtime_ns)


def read_rows(file: str, path: str) -> Iterator[Mapping[str, Any]]:
    """What the reader gives for `path`, row by row. Raises DatasetError, naming the reader, whatever it raises."""
    read = open_reader(file).read
    number = 0
    try:
        for number, row in enumerate(read(path), 1):
            if not isinstance(row, Mapping):
                raise DatasetError(f"{file}: read() gave a {type(row).__name__} for row {number}; it should be a dict")
            yield row
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"{file}: read() failed after row {number}: {type(error).__name__}: {error}") from error


def read_photograph(path: str, member: Mapping[str, Any]) -> bytes:
    """The bytes of an item's photograph, by `member`: of {"reader", "row"} what load() makes of the row; of {"reader",
    "number", "column"} what row `number` (from 0) that read() gives holds in the column. Raises DatasetError.
    """
    module = open_reader(member["reader"])
    if "row" in member:
        try:
            return stored_form(module.load(member["row"]))
        except Exception as error:
            raise DatasetError(f"{member['reader']}: load() failed: {type(error).__name__}: {error}") from error
    return _forwards(member["reader"], path, member["column"]).value(member["number"])


def stored_form(image: Any) -> bytes:
    """What a reader gave as a photograph: bytes as they are, a PIL image as PNG."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if hasattr(image, "save"):
        import io

        stream = io.BytesIO()
        image.save(stream, "PNG", compress_level=1)
        return stream.getvalue()
    raise DatasetError(f"it gave a {type(image).__name__}; a photograph is bytes as they are stored, or a PIL image")


def is_image(value: Any) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview)) or (hasattr(value, "save") and hasattr(value, "size"))


@lru_cache(maxsize=8)
def _module(file: str, time: int) -> ModuleType:
    """`time` is there so that a file that was changed is run anew."""
    spec = importlib.util.spec_from_file_location(f"reader_{Path(file).stem}", file)
    if spec is None or spec.loader is None:
        raise DatasetError(f"the reader {file} is no Python file; its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DatasetError(f"the reader {file} cannot be run: {type(error).__name__}: {error}") from error
    if not isinstance(getattr(module, "read", None), Callable):  # type: ignore[arg-type]
        raise DatasetError(f"the reader {file} has no function read(path), which gives the rows as dicts")
    return module


class _Forwards:
    """The photographs that read() gives, taken forwards; a step back beyond the window begins anew."""

    def __init__(self, file: str, path: str, column: str) -> None:
        self._file, self._path, self._column = file, path, column
        self._lock = threading.Lock()
        self._window: OrderedDict[int, Any] = OrderedDict()
        self._begin()

    def value(self, number: int) -> bytes:
        with self._lock:
            if number not in self._window:
                if number < self._next:
                    self._begin()
                for row in islice(self._rows, number + 1 - self._next):
                    self._window[self._next] = row.get(self._column)
                    self._next += 1
                    if len(self._window) > _WINDOW:
                        self._window.popitem(last=False)
                if number not in self._window:
                    raise DatasetError(f"{self._file}: read() gives no row {number + 1} any more")
            return stored_form(self._window[number])

    def _begin(self) -> None:
        self._window.clear()
        self._rows, self._next = read_rows(self._file, self._path), 0


@lru_cache(maxsize=4)
def _forwards(file: str, path: str, column: str) -> _Forwards:
    return _Forwards(file, path, column)
