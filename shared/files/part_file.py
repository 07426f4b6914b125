"""A file that takes its place whole or not at all, however the process ends."""

import contextlib
import errno
import fcntl
import os
import secrets
from pathlib import Path

_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class PartFile:
    """Write beside `path` and rename.

    Use it as a context: `file` takes the bytes, `replace()` puts them in place, and leaving without it
    removes them. The part file is locked while its process lives; the next writer removes one that nobody
    has locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        remove_dead_parts(path.parent, path.name)
        while True:
            self.part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
            self.file = open(self.part, "x+b", buffering=1 << 20)  # noqa: SIM115 (closed by __exit__)
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS_HERE:
                    raise
            # Between the opening and the lock another writer may have taken it for a dead one's.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self.part).st_ino == os.fstat(self.file.fileno()).st_ino:
                    return
            self.file.close()

    def __enter__(self) -> "PartFile":
        return self

    def sync(self) -> None:
        """After this the bytes outlast a power failure."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def replace(self) -> None:
        """Put the synced bytes in place; sync_folder() makes that outlast a power failure too."""
        os.replace(self.part, self.path)

    def __exit__(self, *_: object) -> None:
        # The name goes first: a full disk makes close() raise. A part that was put in place has none.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.part)
        with contextlib.suppress(OSError):
            self.file.close()


def remove_dead_parts(folder: Path, name: str = "") -> None:
    """Remove what writers that were killed have left in a folder: of the file of this name, or of any."""
    beginning = f".{name}." if name else "."
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.startswith(beginning) and e.name.endswith(".part")]
    for name in names:
        with contextlib.suppress(OSError), open(folder / name, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(folder / name)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` outlast a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, root: Path) -> None:
    """Make a folder below `root`, which is there, and the names of all on the way outlast a power failure."""
    folder.mkdir(parents=True, exist_ok=True)
    while folder != root:
        folder = folder.parent
        sync_folder(folder)
