"""Work on many things at once, with what comes out in the order of what went in."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from shared.machine import share_of_cores

Taken = TypeVar("Taken")
Made = TypeVar("Made")

ROOM = 4  # things that wait for each thread


def in_order(function: Callable[[Taken], Made], things: Iterable[Taken]) -> Iterator[Made]:
    """function(thing) of each, on a thread per core; only so many are taken ahead that memory stays bounded."""
    threads = share_of_cores(0)
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="in_order") as pool:
        try:
            for thing in things:
                waiting.append(pool.submit(function, thing))
                if len(waiting) > threads * ROOM:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
