"""The errors that a person may meet, each one plain sentence, and the one place that turns any error into an exit status."""

import errno
from pathlib import Path
from typing import ClassVar

BROKEN, MISUSE, SOME_FAILED, STOPPED = 1, 2, 3, 4  # exit statuses, as the README has them
CRASHED = 70  # EX_SOFTWARE: the launcher starts such a worker again


class KnownError(Exception):
    """The message is one sentence for the person; `status` is what a program exits with where nothing catches it."""

    status: ClassVar[int] = BROKEN


class ConfigError(KnownError, ValueError):
    """One sentence that names the step, the key and the nearest right one."""

    status = MISUSE


class RunError(KnownError, RuntimeError):
    """What a person asked for does not fit what is in the run's folder, or on the machine; with the ways out."""

    status = MISUSE


class DatasetError(KnownError, ValueError):
    """What is wrong with an input or a table."""

    status = MISUSE


class FarError(DatasetError):
    """A file that lies far away and cannot be had; the message names it without secrets, with the way out where there is one."""


class ImageError(KnownError, ValueError):
    """A photograph that cannot be used; the message names it."""

    status = MISUSE


class EngineError(KnownError, RuntimeError):
    """The engine itself cannot go on; no item is to blame, and a worker that is started again may fare better."""

    status = CRASHED


class RequestError(KnownError, RuntimeError):
    """The server answers others, and not this question; the message has its reason."""


class DownloadError(KnownError, RuntimeError):
    """A file of the web that could not be had. `http_status` is what the server said, 0 where it said nothing; `is_passing`:
    another try may fare better, after `retry_after` seconds; `is_final`: not even that of another day.
    """

    def __init__(
        self,
        message: str,
        http_status: int = 0,
        is_passing: bool = False,
        is_final: bool = False,
        retry_after: float = 0.0,
    ):
        super().__init__(message)
        self.http_status, self.is_passing, self.is_final, self.retry_after = (
            http_status,
            is_passing,
            is_final,
            retry_after,
        )


class PublishError(KnownError, RuntimeError):
    """What is recorded could not be published; nothing of it is lost, and it may be tried again."""


class AnswerError(KnownError, ValueError):
    """The model answered, and no answer passed; the message holds the last one."""


class WorkerCrash(KnownError, RuntimeError):
    """The failure of an item that was alone in flight when a worker died."""


class DiskError(KnownError, RuntimeError):
    """The run's folder cannot be written; a worker stops, because this is no item's fault."""


def noting(error: Exception, fields: dict[str, int]) -> Exception:
    """The error, with what its item's failure is to hold beside the message: what has been spent on it, see ADDED_UP."""
    error.noted = fields  # type: ignore[attr-defined]
    return error


def exit_status(error: BaseException, folder: Path | str) -> tuple[int, str]:
    """How a program that writes under `folder` ends with an error that came through: its status, and the sentence for the person.

    CRASHED is what nobody foresaw: the caller shows its traceback.
    """
    if isinstance(error, KnownError):
        return error.status, str(error)
    if isinstance(error, OSError) and is_disk_error(error):
        return (
            BROKEN,
            f"cannot write under {folder}: {error.strerror}; free some space and run again, nothing recorded is lost",
        )
    if isinstance(error, PermissionError):
        return BROKEN, f"{error.filename} may not be written by this user; mend that and run again"
    return CRASHED, f"{type(error).__name__}: {error}"


def is_disk_error(error: BaseException) -> bool:
    """Whether the disk is to blame: full, over quota, read-only or broken."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def disk_error(error: OSError, folder: Path) -> DiskError:
    reason = error.strerror or str(error)
    way_out = "free some space and run again" if is_disk_error(error) else "mend that and run again"
    return DiskError(f"cannot write under {folder}: {reason}; {way_out}, nothing recorded is lost")


def is_out_of_memory(error: BaseException) -> bool:
    """True for torch.OutOfMemoryError and its subclasses, without importing torch where it is not in use."""
    return any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
