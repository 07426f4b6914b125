"""How quick a step is, from when its items were done: the start of a pipeline says little of hours of it."""

from shared.doctor.attempt import Attempt


def items_a_second(found: Attempt) -> float:
    """Of one worker, once its pipeline is full; 0 where no item was done.

    What is in hand at the first result is a wave: batches come out together, and so do the first answers of an engine
    that works on many at once. The first wave also pays for what is imported, compiled and tuned on the way, so where
    there are two waves or more the rate counts from the end of the first, and up to when no further item was begun.
    """
    done = found.done
    if not done:
        return 0.0
    wave = max(1, done[0].in_flight)
    steady = [answer.seconds for answer in done if answer.seconds <= found.stopped]
    times = steady if len(steady) >= 2 * wave else [answer.seconds for answer in done]
    if len(times) >= 2 * wave and times[-1] > times[wave - 1]:
        return (len(times) - wave) / (times[-1] - times[wave - 1])
    return len(times) / max(times[-1], 1e-6)
