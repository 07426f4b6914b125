"""The loop that takes one worker through its items: claim, load ahead, stream, record."""

import logging
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from shared.errors import STOPPED, DiskError, ImageError, WorkerCrash, is_disk_error
from shared.far.addresses import is_far
from shared.files.control import SECONDS_BETWEEN_LOOKS, Control
from shared.files.crashes import Journal, recover, remove_parts, suspects
from shared.files.record_writer import Outcome, RecordWriter, makes_files
from shared.files.states import FAILED, RECORDED
from shared.files.table import Table
from shared.images import files_read, place_of
from shared.loop.picker import Block, Picker
from shared.loop.place import Place
from shared.loop.progress import Progress
from shared.loop.recorder import Found, Recorder
from shared.machine import collect_seldom, share_of_cores
from shared.run.run import Step
from shared.worker import Loaded, Worker

log = logging.getLogger("worker")

FAR_THREADS = 16  # that load photographs which are far away: most of the time they wait for an answer
MOST_READY = 64  # items of the next batch that are loaded before the rate is known
SIZE_WITH_FILES = 4  # of an outcome that waits to be recorded, against one without images
SHORTEST_PAUSE = 0.005  # seconds before the next look at what others have claimed; it doubles from look to look
SECONDS_AHEAD = 0.25  # how much work is claimed and decoded ahead: enough for the GPU, little to lose or to hold back


class Loop:
    """One process's part in a step."""

    def __init__(self, step: Step, place: Place):
        self.step, self.worker = step, step.worker
        self.cores = share_of_cores(place.cores)
        loads = type(self.worker).load is not Worker.load
        self.load_threads = (self.worker.load_threads or self.cores) if loads else 0
        self.rank, self.world_size = place.rank, place.world_size
        self.control = Control(step.folder, place.gpu, place.kill_folders(step), place.parent)
        self.records = step.records
        self.claims = step.open_claims()
        self.in_flight: dict[str, tuple[int, Block]] = {}  # begun and not recorded
        self.unanswered: dict[str, dict] = {}  # given to the worker's stream, which has not answered
        self.sources: dict[str, dict] = {}  # of the photographs that were read for what is in flight

    def run(self) -> int:
        """Returns the exit status: 0 when all items of the table are settled, 4 when it was asked to stop."""
        with self.claims.reading_table():
            slot = self.claims.take_slot()
            table = Table(self.step.table_path)
        if self.load_threads and not self.worker.load_threads and len(table) and is_far(table[0].get("image_path")):
            self.load_threads = max(self.load_threads, FAR_THREADS)
        parts = self.step.parts
        recover(parts, self.claims, self.records, slot)
        to_try_alone, deadly = suspects(self.records)
        self.picker = Picker(table, self.records, self.claims, self.rank, self.world_size, to_try_alone)
        self.progress = Progress(self.control, self.worker, self.picker)
        self.journal = Journal(parts / str(slot))
        packer = str(slot) if self.step.packs(len(table)) else ""
        own = parts / str(slot)
        self.writer = RecordWriter(self.records, own, self.step.fingerprint, packer, in_tars=self.worker.in_tars)
        try:
            status = self._work(deadly)
        except Exception as error:
            self.progress.close(f"broke: {error}")
            if isinstance(error, DiskError) or is_disk_error(error):  # no item's fault
                remove_parts(parts / str(slot))
            raise
        else:
            self.progress.close("stopped" if status == STOPPED else "ended")
            self.writer.close()
            remove_parts(parts / str(slot))
            return status
        finally:
            self.claims.close()

    def _work(self, deadly: set[str]) -> int:
        opened, recorded, failed = self.picker.shard_counts()
        log.info(
            "shard %d of %d: %d items, %d recorded, %d failed, %d to do",
            self.rank, self.world_size, opened + recorded + failed, recorded, failed, opened,
        )  # fmt: skip
        self.recorder = Recorder(self._record, SIZE_WITH_FILES * max(64, 2 * self.worker.batch_size))
        self._fail_deadly(deadly)
        is_ready = False
        pause = SHORTEST_PAUSE
        while not self.control.stop_requested():
            block = self.picker.take(self._room(0)) or next(self.picker.take_alone(), None)
            if block is None:
                if self.picker.look_again():
                    break
                self._end_shard()
                self.progress.state = "waiting"  # for what other workers have claimed: they may yet let go of it
                time.sleep(pause)
                pause = min(2 * pause, SECONDS_BETWEEN_LOOKS)
            else:
                pause = SHORTEST_PAUSE
                if not is_ready:
                    self._set_up()
                    is_ready = True
                self.progress.state = "running"
                self._round(block)
            self.picker.restart()
        self.recorder.close()
        if self.control.reason:
            log.info("stopped: %s; %s", self.control.reason, self.progress.summary())
            return STOPPED
        self._end_shard()
        log.info("ended: %s", self.progress.summary())
        return 0

    def _round(self, block: Block) -> None:
        """Stream what is free, from `block` on, until nothing is; everything begun is then recorded."""
        alone = block.items[0][0] in self.picker.alone
        if alone:
            log.info("%s was in flight when workers died: it is tried alone", block.items[0][1]["key"])
        feed = Feed(self, block, alone)
        try:
            for item, found in self.worker.stream(feed):
                self.answer(item, found)
        finally:
            feed.close()
        if not self.control.reason:
            for item in list(self.unanswered.values()):
                self.answer(item, RuntimeError("the worker's stream ended without a result for this item"))
        self.recorder.wait()
        self.journal.forget(self.in_flight)

    def load(self, item: dict) -> Any:
        """What the worker makes of an item, on a thread; and which file it was made of."""
        watched: dict = {}
        token = files_read.set(watched)
        try:
            return self.worker.load(item)
        finally:
            files_read.reset(token)
            if (source := watched.get(place_of(item))) and self.worker.notes_sources:
                self.sources[item["key"]] = source

    def answer(self, item: dict, found: Found) -> None:
        """Hand an item's outcome to the thread that records it."""
        self.recorder.raise_if_broken()
        if item["key"] not in self.in_flight:
            raise RuntimeError(
                f"the worker's stream gave a result for {item['key']!r}, which it was not given or gave before"
            )
        self.unanswered.pop(item["key"], None)
        self.recorder.put(item["key"], found, SIZE_WITH_FILES if makes_files(found) else 1)

    def _outcome(self, key: str, found: Found) -> Outcome:
        return Outcome(key, found, self.sources.pop(key, None), self.in_flight[key][0])

    def _record(self, found: list[tuple[str, Found]]) -> None:
        self.claims.check()
        outcomes = [self._outcome(*one) for one in found]
        self.writer.write(outcomes)
        for outcome in outcomes:
            index, block = self.in_flight.pop(outcome.key)
            self.picker.settle(index, RECORDED if outcome.recorded else FAILED)
            self.progress.count(outcome.recorded)
            block.left -= 1
            if block.left == 0:
                self.claims.release(block.start, block.stop)
        self.journal.forget(self.in_flight)

    def _fail_deadly(self, deadly: set[str]) -> None:
        for block in self.picker.take_alone():
            [(index, item)] = block.items
            if item["key"] in deadly:
                self.in_flight[item["key"]] = (index, block)
                self.answer(
                    item, WorkerCrash("the worker's process died each time this item was in flight, at last alone")
                )
            else:
                self.claims.release(block.start, block.stop)
        self.recorder.wait()

    def _set_up(self) -> None:
        self.progress.state = "setup"
        self.worker.gpu, self.worker.cores, self.worker.world_size = self.control.gpu, self.cores, self.world_size
        started = time.monotonic()
        self.worker.setup()
        collect_seldom(False)
        if "cv2" in sys.modules:
            sys.modules["cv2"].setNumThreads(1)  # the loop's threads already fill this worker's cores
        log.info("ready after %.1f s", time.monotonic() - started)

    def _end_shard(self) -> None:
        opened, recorded, failed = self.picker.shard_counts()
        if not opened and not self.control.reason:
            self.control.mark_end(recorded, failed)

    def _room(self, waiting: int) -> int:
        """How many more items to claim, with `waiting` claimed and not given out."""
        batch = self.worker.batch_size
        smallest = max(batch + min(batch, MOST_READY), self.load_threads)  # the next batch is ready when one is done
        largest = max(64, 4 * smallest)
        return min(max(int(self.progress.rate * SECONDS_AHEAD), smallest), largest) - waiting


class Feed(Iterator[Loaded]):
    """The items of one round, loaded ahead on threads, with a bounded number waiting.

    It ends when nothing is free to claim, or when a stop is requested: what was given out is then in flight, the rest is
    let go. It never waits for other workers, because what this worker has in flight may be what they wait for.
    """

    def __init__(self, loop: Loop, block: Block, alone: bool):
        self.loop, self.alone = loop, alone
        self.loading: deque[tuple[dict, Future | None]] = deque()
        self.pool = ThreadPoolExecutor(loop.load_threads, thread_name_prefix="load") if loop.load_threads else None
        self._begin(block)

    def __next__(self) -> Loaded:
        while not self.is_stopping():
            self._fill()
            if not self.loading:
                break
            item, future = self.loading.popleft()
            self._fill()  # the next ones load while this one is worked on
            try:
                data = self._data(item, future)
            except Exception as error:
                log.warning("%s failed: %s", item["key"], error)
                self.loop.answer(item, error)
                continue
            self.loop.unanswered[item["key"]] = item
            return Loaded(item, data)
        raise StopIteration

    def index_of(self, item: dict) -> int:
        """The place in the step's table of an item that was given out and not answered."""
        return self.loop.in_flight[item["key"]][0]

    def is_stopping(self) -> bool:
        return self.loop.control.stop_requested()

    def ready(self) -> bool:
        """Whether the next item, or the end, comes without waiting for it to be loaded."""
        if self.is_stopping():
            return True
        self._fill()
        future = self.loading[0][1] if self.loading else None
        return future is None or future.done()

    def close(self) -> None:
        """Let go of what was claimed and not given out."""
        for item, future in self.loading:
            if future is not None:
                future.cancel()
            self.loop.in_flight.pop(item["key"])
            self.loop.sources.pop(item["key"], None)
        if self.pool:
            self.pool.shutdown(cancel_futures=True)

    def _fill(self) -> None:
        room = self.loop._room(len(self.loading))
        if not self.alone and room * 2 >= len(self.loading) and room > 0:
            block = self.loop.picker.take(room)
            if block:
                self._begin(block)

    def _begin(self, block: Block) -> None:
        self.loop.journal.begin([item["key"] for _, item in block.items], self.alone)
        for index, item in block.items:
            self.loop.in_flight[item["key"]] = (index, block)
            future = None
            if self.pool is not None and "unreadable" not in item:
                future = self.pool.submit(self.loop.load, item)
            self.loading.append((item, future))

    def _data(self, item: dict, future: Future | None):
        if "unreadable" in item:
            raise ImageError(item["unreadable"])
        return future.result() if future is not None else None
