"""Where locks do not hold between machines is told from the mount."""

import os
from pathlib import Path

import pytest

from shared.errors import ConfigError
from shared.files.leases import LeasedClaims
from shared.files.mounts import lock_trouble, mount_of
from tests.run.test_advance import Bench, Upper

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:30 / /scratch rw,relatime shared:2 - lustre 10.0.0.1@tcp:/scratch rw,flock,lazystatfs
31 22 0:31 / /scratch/old rw,relatime shared:3 - lustre 10.0.0.1@tcp:/old rw,localflock
32 22 0:32 / /lustre rw shared:4 - lustre 10.0.0.1@tcp:/none rw,lazystatfs
33 22 0:33 / /home rw,relatime - nfs4 nas:/home rw,vers=4.2,local_lock=none,addr=10.0.0.2
34 22 0:34 / /nolock rw,relatime - nfs nas:/b rw,vers=3,nolock,local_lock=all
35 22 0:35 / /bucket rw,nosuid - fuse.s3fs s3fs rw,user_id=0
36 22 0:36 / /gcs rw - fuse.gcsfuse bucket rw
37 22 0:37 / /my\\040disk rw - fuse.sshfs me@host:/ rw
38 22 0:38 / /win rw - cifs //server/share rw,nobrl
39 33 0:39 / /home/covered rw - nfs4 nas:/c rw,local_lock=posix
40 33 0:40 / /home/covered rw - ext4 /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("/data/run", ""),
        ("/scratch/me/run", ""),
        ("/scratch/old/run", "lies on /scratch/old, Lustre mounted with localflock: locks are each machine's own"),
        ("/lustre/run", "lies on /lustre, Lustre mounted without flock: there are no locks"),
        ("/home/me", ""),
        ("/nolock", "lies on /nolock, NFS mounted with local_lock=all: locks are each machine's own"),
        ("/bucket/a/b", "lies on /bucket, a bucket mounted by s3fs, where locks are each machine's own"),
        ("/gcs/run", "lies on /gcs, a bucket mounted by gcsfuse, where locks are each machine's own"),
        ("/my disk/run", "lies on /my disk, mounted by sshfs, where locks are each machine's own"),
        ("/win", "lies on /win, a Windows share mounted with nobrl: locks are each machine's own"),
        ("/home/covered/run", ""),
        ("/scratch2/run", ""),
    ],
)
def test_the_mount_says_whether_locks_hold(tmp_path, folder, words):
    (tmp_path / "mountinfo").write_text(MOUNTS)
    said = lock_trouble(Path(folder), tmp_path / "mountinfo")
    assert said == (f"{folder} {words}" if words else "")


def test_a_folder_of_this_machine_has_a_mount_and_no_trouble_is_known_where_nothing_can_be_read(tmp_path):
    found = mount_of(tmp_path)
    assert found and os.fspath(tmp_path).startswith(found.place)
    assert lock_trouble(tmp_path, tmp_path / "nowhere") == ""


def test_claims_are_files_where_locks_do_not_hold_or_the_config_says_so(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    bench.items(*"abc")
    assert not bench.run(Upper()).leased
    monkeypatch.setattr("shared.run.run.lock_trouble", lambda folder: f"{folder} lies on a bucket")
    assert bench.run(Upper()).leased and not bench.run(Upper(), claims="locks").leased
    run = bench.run(Upper(), claims="files")
    bench.complete(run)
    assert [row["value"] for row in bench.rows(run)] == list("ABC")
    step = run.steps[0]
    assert isinstance(step.open_claims(), LeasedClaims) and not (step.folder / "claims").exists()
    assert list((step.folder / "leases").iterdir()) == []  # all was given back
    assert not step.is_alive()


def test_a_second_launcher_waits_for_the_first(tmp_path):
    bench = Bench(tmp_path)
    bench.items(*"abc")
    run = bench.run(Upper(), claims="files")
    said: list[str] = []

    def say(sentence: str) -> None:
        said.append(sentence)
        first.close()

    first = LeasedClaims(run.folder / ".leases")
    assert first.take_name("launcher")
    with run.locked(say):
        assert said == [f"another launcher is at work in {run.folder}; waiting for its turn"]


def test_a_word_that_is_no_way_to_claim_is_an_error(tmp_path):
    from shared.run.config import load_config

    (tmp_path / "run.yaml").write_text("meta_path: x\nclaims: hope\nsteps: [{type: template}]\n")
    with pytest.raises(ConfigError, match="claims"):
        load_config(tmp_path / "run.yaml")
