"""Claims where the file system's locks do not hold between machines: a file each, alive while its owner is."""

import contextlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.files.claims import SLOT_COUNT, Claims

CELL = 64  # items that share one file
BEAT = 2.0  # seconds between two signs of life
LEASE = 30.0  # seconds without one, by the clock of whoever looks, after which an owner is dead


def started_at(pid: int) -> str:
    """When a process of this machine was started, in ticks of its clock; empty where there is none of that number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def name_of_place() -> str:
    """Of this machine since it was started, and of the container: processes of one such name see each other."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")[:12]
    return f"{boot}.{os.stat('/proc/self/ns/pid').st_ino}"


PLACE = name_of_place()


def is_neighbour(owner: str) -> bool:
    """Whether an owner is a process that lives here."""
    place, process, _ = owner.split("_")
    pid, _, start = process.partition(".")
    return place == PLACE and started_at(int(pid)) == start


class LeasedClaims:
    """What Claims does, by files in `folder`: `item-<cell>`, `slot-<number>` and `table` name their owner.

    They are made with O_EXCL, so that one process gets each. An owner changes its own file `alive-<owner>` every BEAT seconds.
    Whoever wants what it has looks at that, and takes over, by renaming a file of its own over the other's, what belongs to
    an owner that has not changed anything for LEASE seconds of the looker's clock; so clocks that differ change nothing.
    An owner that stood still for so long itself says so, see check(), and is started again.
    """

    widest = 16 * CELL  # items that one claim may reach over

    def __init__(self, folder: Path):
        self.folder = folder
        self.owner = f"{PLACE}_{os.getpid()}.{started_at(os.getpid())}_{secrets.token_hex(8)}"
        self._held: Counter[str] = Counter()  # a cell may be part of several claims of this process
        self._seen: dict[
            str, tuple[str, float]
        ] = {}  # of other owners: the last sign of life, and when it was new to us
        self._is_lost = ""
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None
        self._lock = threading.RLock()

    def take(self, start: int, stop: int) -> bool:
        """Get the items [start, stop) if no other process has one of them, or one that shares a file with them."""
        with self._lock:
            taken: list[str] = []
            for cell in range(start // CELL, (stop - 1) // CELL + 1):
                if not self.take_name(f"item-{cell}"):
                    for name in taken:
                        self._release(name)
                    return False
                taken.append(f"item-{cell}")
            return True

    def release(self, start: int, stop: int) -> None:
        with self._lock:
            for cell in range(start // CELL, (stop - 1) // CELL + 1):
                self._release(f"item-{cell}")

    def touch(self, start: int, stop: int) -> bool:
        """That is not noted here: records are looked for after each claim."""
        return True

    def forget_touched(self) -> None:
        """Nothing is noted."""

    def take_slot(self) -> int:
        """Get the first slot that no living worker has, and return its number."""
        for slot in range(SLOT_COUNT):
            if self.take_name(f"slot-{slot}"):
                return slot
        raise RuntimeError(f"more than {SLOT_COUNT} workers on one folder")

    def take_slot_of_dead(self, slot: int) -> bool:
        """Get a slot that no living worker has, to see to what is left of it."""
        return self.take_name(f"slot-{slot}")

    def release_slot(self, slot: int) -> None:
        self._release(f"slot-{slot}")

    def take_only_slot(self) -> bool:
        """Get the first slot if no living worker has any."""
        return not self.has_living_workers() and self.take_name("slot-0")

    def has_living_workers(self) -> bool:
        """True if another process holds a slot. Where one of another machine has died this looks on for LEASE seconds."""
        return any(not self.is_slot_free(int(name.partition("-")[2])) for name in self._names("slot-"))

    def is_slot_free(self, slot: int) -> bool:
        first = None
        while True:
            owner = self._owner_of(f"slot-{slot}")
            if owner in ("", self.owner) or self.is_dead(owner):
                return True
            sign = owner, self._seen[owner][0]
            if sign != (first := first or sign) or is_neighbour(owner):
                return False
            time.sleep(BEAT / 10)

    @contextmanager
    def reading_table(self) -> Iterator[None]:
        """Nobody replaces the step's table meanwhile."""
        while not self.take_name("table"):
            time.sleep(BEAT / 20)
        try:
            yield
        finally:
            self._release("table")

    replacing_table = reading_table  # both are quick

    def check(self) -> None:
        """Raises RuntimeError where another process may have taken what this one has: it was taken for dead."""
        if self._is_lost:
            raise RuntimeError(self._is_lost)  # the launcher starts it again

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            for name in list(self._held):
                self._held[name] = 1
                self._release(name)
            self._ended.set()
        if self._beating is not None:
            self._beating.join()
            for path in (self._sign_of(self.owner), self._own_path):
                with contextlib.suppress(OSError):
                    path.unlink()

    def tidy(self) -> None:
        """Remove what the dead have left."""
        for name in self._names(""):
            if name.startswith(("item-", "slot-", "table")) and self.take_name(name):
                self._release(name)
        for name in self._names(""):
            beginning, _, owner = name.partition("-")
            if beginning in ("alive", "own") and owner != self.owner and self.is_dead(owner.partition("-")[0]):
                with contextlib.suppress(OSError):
                    os.unlink(self.folder / name)

    def is_dead(self, owner: str) -> bool:
        """Whether an owner has shown no sign of life for LEASE seconds in which this process looked now and then."""
        try:
            sign = self._sign_of(owner).read_text()
        except OSError:
            return True  # it takes its file away when it ends
        if owner.startswith(f"{PLACE}_") and not is_neighbour(owner):
            return True
        now = time.monotonic()
        if owner not in self._seen or self._seen[owner][0] != sign:
            self._seen[owner] = sign, now
        return now - self._seen[owner][1] > LEASE

    def take_name(self, name: str) -> bool:
        """Get what one process can have at a time, again where this one has it."""
        with self._lock:
            if self._held[name]:
                self._held[name] += 1
                return True
            self._begin()
            if not self._make(name):
                owner = self._owner_of(name)
                if (owner and not self.is_dead(owner)) or not self._take_over(name, owner):
                    return False
            self._held[name] = 1
            return True

    def _release(self, name: str) -> None:
        with self._lock:
            self._held[name] -= 1
            if self._held[name] <= 0:
                del self._held[name]
                if self._owner_of(name) == self.owner:
                    with contextlib.suppress(OSError):
                        os.unlink(self.folder / name)

    def _make(self, name: str) -> bool:
        """A file that says whose it is, if there is none. A part of it is never seen: it is linked from a whole one."""
        try:
            os.link(self._own_path, self.folder / name)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            try:
                descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                return False
            os.write(descriptor, self.owner.encode())
            os.fsync(descriptor)
            os.close(descriptor)
        return True

    def _take_over(self, name: str, dead: str) -> bool:
        """Put a file of our own in place of a dead owner's. Of several that want to one may: who makes the next token."""
        number, tokens = 0, f"taking-{name}-of-{dead}"
        while not self._make(token := f"{tokens}-{number}"):
            taker = self._owner_of(token)
            if not taker or not self.is_dead(taker):
                return False
            number += 1
        try:
            if self._owner_of(name) != dead:
                return False  # somebody was quicker
            # Not a link of ours: to rename one over another of the same file does nothing.
            own = self.folder / f"own-{self.owner}-{secrets.token_hex(4)}"
            own.write_text(self.owner)
            os.replace(own, self.folder / name)
            return self._owner_of(name) == self.owner
        finally:
            for passed in range(number + 1):
                with contextlib.suppress(OSError):
                    os.unlink(self.folder / f"{tokens}-{passed}")

    def _owner_of(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except OSError:
            return ""

    def _names(self, beginning: str) -> list[str]:
        try:
            return [name for name in os.listdir(self.folder) if name.startswith(beginning)]
        except FileNotFoundError:
            return []

    def _sign_of(self, owner: str) -> Path:
        return self.folder / f"alive-{owner}"

    @property
    def _own_path(self) -> Path:
        return self.folder / f"own-{self.owner}"

    def _begin(self) -> None:
        """Show the first sign of life, and go on with that on a thread."""
        if self._beating is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._own_path.write_text(self.owner)
            self._beat(0)
            self._beating = threading.Thread(target=self._go_on, name="claims", daemon=True)
            self._beating.start()

    def _beat(self, count: int) -> None:
        part = self.folder / f"alive-{self.owner}.part"
        part.write_text(str(count))
        os.replace(part, self._sign_of(self.owner))

    def _go_on(self) -> None:
        last, count = time.clock_gettime(time.CLOCK_BOOTTIME), 0
        while not self._ended.wait(BEAT):
            count += 1
            with contextlib.suppress(OSError):
                self._beat(count)
                now = time.clock_gettime(time.CLOCK_BOOTTIME)
                if now - last > LEASE / 2 and any(self._owner_of(name) != self.owner for name in list(self._held)):
                    self._is_lost = (
                        f"it stood still for {now - last:.0f} s, and others that took it for dead have taken its items"
                    )
                last = now


AnyClaims = Claims | LeasedClaims
