"""The process in which doctor tries a step: whatever a model holds ends with it. Not a step."""

import sys
from multiprocessing.connection import Connection

from shared.parent import end_with_parent

if __name__ in ("__main__", "__mp_main__"):  # the second: a process of the vLLM engine
    end_with_parent()
if __name__ == "__main__":
    from shared.doctor.trial import carry_out

    carry_out(Connection(int(sys.argv[1])))
