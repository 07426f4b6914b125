"""What tries of an item cost is counted whatever became of them."""

from shared.errors import noting
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import ADDED_UP, Records


def test_what_was_spent_on_tries_that_failed_is_kept_and_adds_up(tmp_path):
    records, parts = Records(tmp_path / "step"), tmp_path / "parts"
    parts.mkdir()
    writer = RecordWriter(records, parts, "f", threads=1)

    def settle(key: str, found: dict | Exception) -> None:
        writer.write([Outcome(key, found)])

    for _ in range(2):
        settle("a", noting(ValueError("refused"), {"asked": 3, "prompt_tokens": 30, "completion_tokens": 0}))
        settle("b", ValueError("cannot be read"))
        assert records.retry_failures(9) == 2
    settle("a", noting(ValueError("refused"), {"asked": 1, "prompt_tokens": 10, "completion_tokens": 5}))
    assert records.spent_on_failures() == {"asked": 7, "prompt_tokens": 70, "completion_tokens": 5, "failures": 1}
    assert records.read_failure("a")["attempts"] == 3
    assert "asked" not in records.read_failure("b")
    records.retry_failures(9)
    settle("a", {"words": "soft", "asked": 1, "prompt_tokens": 10, "completion_tokens": 2})
    settle("b", {"words": "hard"})
    writer.close()
    assert {name: records.read("a")[name] for name in ADDED_UP} == {
        "asked": 8,
        "prompt_tokens": 80,
        "completion_tokens": 7,
    }
    assert "asked" not in records.read("b")
    assert records.spent_on_failures() == {}
