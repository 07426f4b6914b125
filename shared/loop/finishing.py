"""The CPU's part of a step, on threads beside the GPU's."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from shared.errors import is_disk_error

log = logging.getLogger("worker")

Finished = tuple[dict, dict | Exception]


def finished(
    seen: Iterator[tuple[dict, Any]], finish: Callable[[dict, Any], dict], threads: int, room: int
) -> Iterator[Finished]:
    """Worker.stream() for a worker whose items each need the CPU after the GPU.

    `seen` runs the models, batch by batch, and yields each item with what they saw, or with the exception that is its
    failure; `finish(item, what they saw)` makes what is found of it, on one of `threads` threads, while the next batch
    is with the models. At most `room` items wait, which is at least a batch: where the CPU is slower, the GPU waits.
    """
    waiting: deque[tuple[dict, Future]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="finish") as pool:
        try:
            for item, sight in seen:
                if isinstance(sight, Exception):
                    yield item, sight
                    continue
                waiting.append((item, pool.submit(finish, item, sight)))
                while waiting and (waiting[0][1].done() or len(waiting) > room):
                    yield outcome(*waiting.popleft())
            while waiting:
                yield outcome(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def outcome(item: dict, future: Future) -> Finished:
    """Wait for an item; what went wrong with it is its failure alone, unless the disk is full."""
    try:
        return item, future.result()
    except Exception as error:
        if is_disk_error(error):
            raise
        log.warning("%s failed", item["key"], exc_info=True)
        return item, error
