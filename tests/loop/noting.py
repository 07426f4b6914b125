"""An error of the name that torch gives it."""


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""
