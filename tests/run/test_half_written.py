"""What processes that were killed have left half written."""

import pytest

from shared.files.part_file import PartFile
from tests.run.test_advance import Bench, Upper


@pytest.mark.parametrize("is_done", [False, True])
def test_what_a_worker_left_half_written_goes_whatever_it_was_and_what_is_being_written_stays(tmp_path, is_done):
    """A worker killed at its end marker; there may be no worker of that number again."""
    bench = Bench(tmp_path)
    bench.items("a", "b", "c")
    run = bench.run(Upper())
    bench.complete(run) if is_done else bench.advance(run)
    folder = run.steps[0].folder
    dead = [folder / ".end7.txt.19201-ebb44f9d.part", folder / ".progress7.json.19201-0123abcd.part"]
    for path in dead:
        path.touch()
    with PartFile(folder / "preview.png") as living:
        bench.advance(run)
        assert [path.name for path in folder.glob(".*.part")] == [living.part.name]
