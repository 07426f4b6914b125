"""A process that ends with the one that started it, however that ends."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone.

    An EngineCore of vLLM outlives a worker that was killed, and keeps the GPU's memory.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
