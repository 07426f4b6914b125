"""What a check found: a line for the person."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

GIB = 2**30


class Finding(NamedTuple):
    mark: Literal["ok", "warn", "FAIL"]  # warn: nothing stands in the way, and it is good to know
    sentence: str

    def __str__(self) -> str:
        return f"{self.mark:<6}{self.sentence}"


def ok(sentence: str) -> Finding:
    return Finding("ok", sentence)


def warn(sentence: str) -> Finding:
    return Finding("warn", sentence)


def fail(sentence: str) -> Finding:
    return Finding("FAIL", sentence)


def guarded(what: str, check: Callable[..., Iterable[Finding]], *arguments: Any) -> Iterator[Finding]:
    """The findings of a check; where it breaks, that is one."""
    try:
        yield from check(*arguments)
    except Exception as error:
        reason = " ".join(str(error).split()) or "no reason given"
        yield fail(f"{what} could not be looked at: {type(error).__name__}: {reason}")


def size(count: float) -> str:
    """Bytes in the unit that suits."""
    if count >= 100 * GIB:
        return f"{count / GIB:.0f} GiB"
    if count >= 0.1 * GIB:
        return f"{count / GIB:.1f} GiB"
    return f"{count / 2**20:.1f} MiB"
