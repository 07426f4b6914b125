"""Checkpoints: whole or absent, the newest kept, and what a training goes on from."""

import errno
import shutil

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")
from shared.errors import DiskError, RunError  # noqa: E402
from shared.relighter.training.checkpoints import Checkpoints  # noqa: E402
from tests.relighter.training.beginning import losses, same, weights_of  # noqa: E402
from tests.training_run import member, train, trainer_of  # noqa: E402


def test_only_the_newest_checkpoints_stay(begin):
    step = begin(checkpointing_steps=1, checkpoints_total_limit=2)
    assert train(step)
    assert Checkpoints(step.folder, None).steps() == [5, 6]


@pytest.mark.slow
def test_on_a_full_disk_the_old_checkpoints_stay_and_the_reason_is_said(begin, monkeypatch):
    step = begin(checkpointing_steps=2, checkpoints_total_limit=1)
    save, written = torch.save, []

    def full(*arguments, **more):
        written.append(1)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*arguments, **more)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DiskError, match=r"no room for checkpoint-4.*goes on from .*checkpoint-2"):
        train(step)
    assert Checkpoints(step.folder, None).steps() == [2]
    assert not list(step.folder.glob(".checkpoint*"))
    assert train(step)
    assert Checkpoints(step.folder, None).steps() == [6]


def test_a_checkpoint_for_which_there_is_no_room_is_not_begun(begin, monkeypatch):
    step = begin(checkpointing_steps=2)
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=10))
    with pytest.raises(DiskError, match=r"GiB are free under .*checkpoint-2"):
        train(step)
    assert Checkpoints(step.folder, None).steps() == [2]


@pytest.mark.slow
def test_a_half_written_checkpoint_is_none_and_is_cleared_away(begin):
    step = begin()
    assert not train(step, stop_at=2)
    torn = step.folder / ".checkpoint-4.new"
    torn.mkdir()
    (torn / "optimizer.pt").write_bytes(b"half")
    (step.folder / "checkpoint-9").mkdir()  # without its last file
    assert Checkpoints(step.folder, None).steps() == [2]
    assert train(step)
    assert not torn.exists() and not (step.folder / "checkpoint-9").exists()


@pytest.mark.slow
def test_a_longer_training_goes_on_where_the_shorter_one_ended(begin):
    assert train(begin("long", max_train_steps=4))
    longer = begin("long", max_train_steps=6)
    assert not longer.changes()
    assert longer.worker.left(longer) == 2
    assert train(longer)
    assert [line["step"] for line in losses(longer)] == [4, 6]
    through = begin("through")
    assert train(through)
    assert same(weights_of(through.folder / "model"), weights_of(longer.folder / "model"))


@pytest.mark.slow
def test_a_run_may_begin_with_the_checkpoint_of_another(begin):
    first = begin("first")
    assert not train(first, stop_at=3)
    second = begin("second", resume_from_checkpoint=str(first.folder / "checkpoint-3"))
    assert train(second)
    through = begin("through")
    assert train(through)
    assert same(weights_of(through.folder / "model"), weights_of(second.folder / "model"))
    with pytest.raises(RunError, match="is no checkpoint"):
        train(begin("third", resume_from_checkpoint="nowhere"))


def test_without_room_on_the_gpu_the_way_out_is_said(begin, monkeypatch):
    step = begin()
    with member(step) as together:
        trainer = trainer_of(step, together)

        def runs_out(*_):
            raise torch.OutOfMemoryError("CUDA out of memory")

        trainer.family.loss = runs_out
        with pytest.raises(RunError, match="does not hold train_batch_size 2 at resolution 64; lower train_batch_size"):
            trainer.run()
