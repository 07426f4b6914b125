"""How the commands of the launcher speak to the person at the terminal."""

import sys
from typing import NoReturn

from shared.errors import MISUSE


def say(text: str) -> None:
    print(f"launcher: {text}", flush=True)


def give_up(text: str, status: int = MISUSE) -> NoReturn:
    """End the process with one sentence on stderr."""
    print(f"launcher: error: {text}", file=sys.stderr, flush=True)
    sys.exit(status)
