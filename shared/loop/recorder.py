"""The thread that records outcomes while the next items are worked on."""

import threading
from collections.abc import Callable

Found = dict | BaseException
GROUP = 256  # outcomes that are made durable together
GATHERING = 0.25  # seconds that the first of a group waits for others, since a group costs about as much as one


class Recorder:
    """Hands outcomes to `record` in groups; so many wait as have `room`.

    A group is what has come together while the one before was recorded, and for as long as GATHERING, unless there is no
    more room, or somebody waits.
    """

    def __init__(self, record: Callable[[list[tuple[str, Found]]], None], room: int):
        self.record, self.room = record, room
        self.broken: BaseException | None = None  # what record() has raised; nothing is recorded after it
        self._outcomes: list[tuple[str, Found, int]] = []  # that wait, with the size of each
        self._taken = 0  # of the room
        self._is_recording = self._is_awaited = self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def put(self, key: str, found: Found, size: int = 1) -> None:
        """`size` is what it takes of the room."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self.room)
            self.raise_if_broken()
            self._outcomes.append((key, found, size))
            self._taken += size
            if len(self._outcomes) == 1 or self._taken >= self.room:
                self._changed.notify_all()

    def wait(self) -> None:
        """Until all is recorded that was put. Raises what record() has raised."""
        with self._changed:
            self._is_awaited = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._outcomes and not self._is_recording)
            self._is_awaited = False
        self.raise_if_broken()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        self.raise_if_broken()

    def raise_if_broken(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _run(self) -> None:
        while group := self._next_group():
            try:
                if self.broken is None:
                    self.record(group)
            except BaseException as error:
                self.broken = error
            with self._changed:
                self._is_recording = False
                self._changed.notify_all()

    def _next_group(self) -> list[tuple[str, Found]]:
        """Empty when it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._outcomes or self._is_closed)
            self._changed.wait_for(self._is_urgent, GATHERING)
            group, self._outcomes = self._outcomes[:GROUP], self._outcomes[GROUP:]
            self._taken -= sum(size for _, _, size in group)
            self._is_recording = bool(group)
            self._changed.notify_all()
        return [(key, found) for key, found, _ in group]

    def _is_urgent(self) -> bool:
        return self._taken >= self.room or self._is_awaited or self._is_closed
