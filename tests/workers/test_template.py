"""The smallest worker, which people copy."""

import hashlib
import subprocess
import sys

import pytest

from shared.errors import ImageError
from shared.worker import Loaded
from tests.conftest import ROOT
from workers.template import Template


def test_it_notes_the_size_and_the_checksum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    item = {"key": "a", "image_path": str(tmp_path / "a")}
    worker = Template()
    worker.setup()
    assert worker.load(item) == b"abc"
    found = worker.process([Loaded(item, b"abc"), Loaded({"key": "b"}, b"")])
    assert found == [
        {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()},
        {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()},
    ]


def test_a_photograph_that_is_not_there_is_the_items_error(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        Template().load({"key": "a", "image_path": str(tmp_path / "a")})


def test_help_is_there_without_a_config_and_imports_nothing_heavy():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['workers/template.py', '--help']\n"
        "try: runpy.run_module('workers.template', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'cv2', 'skimage', 'scipy', 'matplotlib', 'colour', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    asked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert "Note the size and the checksum of each photograph." in asked.stdout
    assert "seconds_per_item = 0.0" in asked.stdout


@pytest.mark.slow
def test_the_bundled_config_runs_through_the_launcher(project):
    done = project.run(CONFIG=ROOT / "configs" / "template.yaml", BSZ=4, GPU_COUNT=2)
    assert done.returncode == 0, done.stdout
    rows = project.rows("step_1_template")
    photographs = sorted((ROOT / "configs" / "samples").glob("*.jpg"))
    assert [(row["key"], row["bytes"], row["sha256"]) for row in rows] == [
        (path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in photographs
    ]
    assert [row["image_path"] for row in rows] == list(map(str, photographs))
