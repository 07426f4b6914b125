"""What happens where two rows have one key: a name that was only derived gets a suffix."""

from collections.abc import Iterable, Iterator, Mapping

from shared.errors import DatasetError


class DerivedKey(str):
    """A key that nobody gave: it was made of the name of a file or of what a row says."""

    __slots__ = ()


class EqualKeys(DatasetError):
    """Rows whose derived keys are those of other rows; `counts`: row (from 0) -> how many have had its key before, and one."""

    def __init__(self, counts: Mapping[int, int], example: str):
        super().__init__(f'{len(counts)} rows have the key of another, as "{example}"')
        self.counts = counts


def with_suffixes(rows: Iterable[dict], suffixes: Mapping[int, str]) -> Iterator[dict]:
    """`suffixes`: row (from 0) -> what its key gets behind it."""
    return _suffixed(rows, suffixes) if suffixes else iter(rows)


def _suffixed(rows: Iterable[dict], suffixes: Mapping[int, str]) -> Iterator[dict]:
    for place, row in enumerate(rows):
        if place in suffixes:
            row["key"] = DerivedKey(row["key"] + suffixes[place])
        yield row
