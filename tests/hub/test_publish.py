import threading

import pytest

from shared.errors import PublishError
from shared.hub import publish as module
from shared.hub.publish import Repository, git_id

pytest.importorskip("huggingface_hub")


class Scripted(Repository):
    """One whose commits end as they are told: an exception is raised, True is the end."""

    def __init__(self, *outcomes):
        super().__init__("me/a", "main", True, {})
        self.outcomes = list(outcomes)

    def _commit_some(self, parts, card):
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)


def answered(status: int) -> Exception:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    request = httpx2.Request("POST", "http://hub/commit")
    return HfHubHTTPError("of the test", response=httpx2.Response(status, request=request))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("CAS service error: connection reset"),  # what comes out of the Xet client
        ConnectionResetError("reset"),
        RuntimeError("Data processing error: CAS service error"),
        TimeoutError("timed out"),
        503,
        429,
        412,  # another has committed meanwhile
    ],
)
def test_what_may_pass_is_tried_again(error):
    made = Scripted(answered(error) if isinstance(error, int) else error, False, True)
    assert made.publish([], "") == 1 and made.outcomes == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (403, "the token may not write me/a"),
        (401, "the token may not write me/a"),
        (400, r"the Hub refuses it \(status 400"),
        (PublishError("holds what was made with other settings"), "holds what was made with other settings"),
    ],
)
def test_what_does_not_pass_is_said_at_once(error, sentence):
    made = Scripted(answered(error) if isinstance(error, int) else error, True)
    with pytest.raises(PublishError, match=sentence):
        made.publish([], "")
    assert made.outcomes == [True]


def test_it_gives_up_in_the_end_and_at_once_where_nobody_waits():
    made = Scripted(*[ConnectionError("down")] * module.TRIES_OF_A_COMMIT)
    with pytest.raises(PublishError, match="has not taken it in 8 tries"):
        made.publish([], "")
    made = Scripted(ConnectionError("down"), True)
    made.ended = threading.Event()
    made.ended.set()
    with pytest.raises(PublishError, match="before the end"):
        made.publish([], "")


def test_a_fault_of_ours_is_none_of_the_hub():
    with pytest.raises(KeyError):
        Scripted(KeyError("ours")).publish([], "")


def test_small_files_are_told_by_the_ids_of_git():
    assert git_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
