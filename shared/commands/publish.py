"""./launcher.sh push: what is recorded goes to the Hub; and the same again and again while workers are at it."""

import os
import signal
import threading
from collections.abc import Callable

from shared.errors import KnownError, RunError
from shared.run.run import Run, Step


def publishing_steps(run: Run) -> list[Step]:
    """The steps that publish what the step before them makes, and may."""
    return [step for step in run.steps if hasattr(step.worker, "push_so_far") and step.worker.publishes]


def publisher_of(step: Step) -> Step | None:
    """The step that publishes what this one makes; None where nobody does."""
    following = step.run.following(step)
    return following if following in publishing_steps(step.run) else None


def push_once(run: Run) -> int:
    """Raises RunError where the config pushes nothing, PublishError where the Hub does not take it."""
    run.check_begun()
    steps = publishing_steps(run)
    if not steps:
        raise RunError(f"{run.config.path} pushes nothing: it needs a step `push` with hf_repo, and without no_push")
    for step in steps:
        step.worker.push_so_far(step)
    return 0


def push_along(run: Run, number: int, parent: int, say: Callable[[str], None]) -> int:
    """Push what step `number` has recorded, time and again until a TERM signal, or until `parent` is gone.

    What fails is told and tried again; it stops nothing.
    """
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    step, told = publisher_of(run.find(str(number))), ""
    while step and not ended.wait(max(0.2, step.worker.seconds_between_pushes)) and os.getppid() == parent:
        try:
            step.worker.push_so_far(step, only_new=True, ended=ended)
            told = ""
        except KnownError as error:
            if str(error) != told:
                say(f"{error} (it is tried again while the step works)")
            told = str(error)
    return 0
