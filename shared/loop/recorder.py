"""The thread that records outcomes while the next items are worked on."""

import queue
import threading
from collections.abc import Callable

Found = dict | BaseException
GROUP = 256  # outcomes that are made durable together


class Recorder:
    """Hands outcomes to `record`, in groups as large as what has come together meanwhile; at most `room` wait."""

    def __init__(self, record: Callable[[list[tuple[str, Found]]], None], room: int):
        self.record = record
        self.broken: BaseException | None = None  # what record() has raised; nothing is recorded after it
        self._outcomes: queue.Queue[tuple[str, Found] | None] = queue.Queue(maxsize=room)
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def put(self, key: str, found: Found) -> None:
        self.raise_if_broken()
        self._outcomes.put((key, found))

    def wait(self) -> None:
        """Until all is recorded that was put. Raises what record() has raised."""
        self._outcomes.join()
        self.raise_if_broken()

    def close(self) -> None:
        self._outcomes.put(None)
        self._thread.join()
        self.raise_if_broken()

    def raise_if_broken(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _run(self) -> None:
        is_closed = False
        while not is_closed:
            group = [self._outcomes.get()]
            while len(group) < GROUP and group[-1] is not None:
                try:
                    group.append(self._outcomes.get_nowait())
                except queue.Empty:
                    break
            is_closed = group[-1] is None
            found = [outcome for outcome in group if outcome is not None]
            try:
                if self.broken is None and found:
                    self.record(found)
            except BaseException as error:
                self.broken = error
            for _ in group:
                self._outcomes.task_done()
