"""Whether a lock that one machine holds is seen by another: python -m shared.doctor.two_machines FOLDER, once on each.

The first holds a lock in the folder until the second has asked for it. Files that appear tell each how far the other is; no clock
is compared.
"""

import os
import sys
import time
from pathlib import Path

from shared.files.claims import Claims

SECONDS_TO_SEE = 90  # that a file which another machine has made may take to be seen: NFS caches for a minute

HOLD = "locks hold between machines"
DO_NOT_HOLD = "locks do not hold between machines"
NOT_SHARED = "the machines do not see each other's files"


def hold_or_ask(folder: Path, is_first: bool) -> str:
    """What was found, in the same words on both machines."""
    held, asked = folder / "held", folder / "asked"
    folder.mkdir(parents=True, exist_ok=True)
    claims = Claims(folder / "claims")
    try:
        if is_first:
            claims.take(0, 1)
            held.touch()
            return asked.read_text() if is_there(asked) else NOT_SHARED
        if not is_there(held):
            return NOT_SHARED
        found = DO_NOT_HOLD if claims.take(0, 1) else HOLD
        part = folder / "asked.part"
        part.write_text(found)
        os.replace(part, asked)
        return found
    finally:
        claims.close()


def is_there(path: Path) -> bool:
    """Waits for a file. The folder is listed, since a name that was looked for in vain may be remembered as missing."""
    deadline = time.monotonic() + SECONDS_TO_SEE
    while path.name not in os.listdir(path.parent):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


if __name__ == "__main__":
    is_first = os.environ.get("SLURM_PROCID", "0") == "0"
    found = hold_or_ask(Path(sys.argv[1]), is_first)
    if is_first:
        print(found, flush=True)
