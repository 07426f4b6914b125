"""Who works on what: byte i of one file is locked while a worker has item i, and tells whether anybody has had it."""

import fcntl
import os
import struct
from contextlib import contextmanager
from pathlib import Path

TOUCHED = b"\1"
SLOTS = 1 << 60  # one byte per living worker, far behind the items
SLOT_COUNT = 4096
TABLE = 1 << 61  # held shared while a worker opens the table, exclusively while the table is replaced


class Claims:
    """Locks on ranges of items, held by this process.

    The kernel lets go when a process dies, however it dies, so there are no leases and no clocks. POSIX drops all locks of
    a process when any descriptor of the file is closed in it: open one Claims per file and process, and keep it.
    """

    widest = SLOTS  # items that one claim may reach over

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def take(self, start: int, stop: int) -> bool:
        """Lock the items [start, stop) if no other process has one of them."""
        try:
            fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, stop - start, start)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, start: int, stop: int) -> None:
        fcntl.lockf(self.descriptor, fcntl.LOCK_UN, stop - start, start)

    def touch(self, start: int, stop: int) -> bool:
        """Of items that this process has taken: whether another may have had one of them since forget_touched().

        Where none had, no record of them can have come, and none needs to be looked for.
        """
        is_touched = any(os.pread(self.descriptor, stop - start, start))
        os.pwrite(self.descriptor, TOUCHED * (stop - start), start)
        return is_touched

    def forget_touched(self) -> None:
        """Only while no worker lives, nor can begin: see replacing_table()."""
        os.ftruncate(self.descriptor, 0)

    def take_slot(self) -> int:
        """Lock the first slot that no living worker has, and return its number."""
        for slot in range(SLOT_COUNT):
            if self.take(SLOTS + slot, SLOTS + slot + 1):
                return slot
        raise RuntimeError(f"more than {SLOT_COUNT} workers on one folder")

    def take_slot_of_dead(self, slot: int) -> bool:
        """Lock a slot that no living worker has, to see to what is left of it."""
        return self.take(SLOTS + slot, SLOTS + slot + 1)

    def release_slot(self, slot: int) -> None:
        self.release(SLOTS + slot, SLOTS + slot + 1)

    def take_only_slot(self) -> bool:
        """Lock the first slot if no living worker has any."""
        return not self.has_living_workers() and self.take(SLOTS, SLOTS + 1)

    def has_living_workers(self) -> bool:
        """True if another process holds a slot. Only asks: takes no lock that a starting worker could run into."""
        return self.holder(SLOTS, SLOT_COUNT) is not None

    def is_slot_free(self, slot: int) -> bool:
        return self.holder(SLOTS + slot, 1) is None

    def holder(self, start: int, length: int) -> int | None:
        """The pid (on this machine) of a process that has a lock in the range, or None. F_GETLK, see fcntl(2)."""
        question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(self.descriptor, fcntl.F_GETLK, question))
        return None if kind == fcntl.F_UNLCK else pid

    @contextmanager
    def reading_table(self):
        """Nobody replaces the step's table meanwhile."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_SH, 1, TABLE)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, TABLE)

    @contextmanager
    def replacing_table(self):
        """No worker opens the step's table meanwhile."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, TABLE)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, TABLE)

    def check(self) -> None:
        """A process that lives has its locks; see LeasedClaims."""

    def tidy(self) -> None:
        """The kernel does."""

    def close(self) -> None:
        os.close(self.descriptor)
