"""Run a command without root's right to pass over file permissions, so that they hold in a container as well."""

import sys

DROP = """
import ctypes, os, sys
for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if os.getuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(24, right, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit("cannot give up root's rights")
os.execvp(sys.argv[1], sys.argv[1:])
"""


def with_plain_rights(*command: object) -> list[str]:
    return [sys.executable, "-c", DROP, *map(str, command)]
