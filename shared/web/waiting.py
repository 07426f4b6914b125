"""When a server is asked again, and how long it asks to wait."""

import email.utils
import time

PASSING = {408, 409, 425, 429, *range(500, 600)}  # statuses that another try may mend
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before another try, twice as long each time


def seconds_to_wait(value: str) -> float:
    """Of a header Retry-After, a number or a date; 0 when it does not say."""
    try:
        return max(0.0, float(value.strip()))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
