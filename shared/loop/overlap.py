"""Keep the GPU busy: prepare and queue the next batch while it works on this one."""

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from shared.worker import Loaded, Worker

log = logging.getLogger("worker")

IN_FLIGHT = 2  # batches: one that the GPU works on, one that is queued behind it

Begin = Callable[[list[Loaded]], Callable[[], list[dict]]]


def overlapped(worker: Worker, loaded: Iterator[Loaded], begin: Begin) -> Iterator[tuple[dict, dict | Exception]]:
    """Worker.stream() for a worker whose GPU work can be queued.

    `begin` queues a batch and returns what waits for it, on a thread, and gives what was found, in the same order. A
    batch for which either raises goes through the worker's own process(), once no other is in flight: all memory is
    free then, and what runs out of it all the same is halved, and what is broken is tried item by item.
    """
    in_flight: deque[tuple[list[Loaded], Future[list[dict]]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="arrive") as pool:
        for batch in batches(worker, loaded):
            try:
                in_flight.append((batch, pool.submit(begin(batch))))
            except Exception as error:
                yield from drained(worker, in_flight)
                yield from again(worker, batch, error)
            while len(in_flight) >= IN_FLIGHT:
                yield from settled(worker, in_flight)
        yield from drained(worker, in_flight)


def batches(worker: Worker, loaded: Iterator[Loaded]) -> Iterator[list[Loaded]]:
    """Batches of the worker's size, which may become smaller meanwhile."""
    batch: list[Loaded] = []
    for one in loaded:
        batch.append(one)
        if len(batch) >= worker.batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def drained(worker: Worker, in_flight: deque) -> Iterator[tuple[dict, dict | Exception]]:
    while in_flight:
        yield from settled(worker, in_flight)


def settled(worker: Worker, in_flight: deque) -> Iterator[tuple[dict, dict | Exception]]:
    """Wait for the oldest batch."""
    batch, future = in_flight.popleft()
    try:
        result = future.result()
    except Exception as error:
        yield from drained(worker, in_flight)
        yield from again(worker, batch, error)
    else:
        yield from zip((one.item for one in batch), result, strict=True)


def again(worker: Worker, batch: list[Loaded], error: Exception) -> Iterator[tuple[dict, dict | Exception]]:
    log.info("a batch of %d failed while others were in flight (%s): trying it by itself", len(batch), error)
    yield from worker.settle(batch)
