"""What recaption.yaml is told: options of other programs, and the shards of a download."""

import pytest

from shared.dataset import Source
from shared.errors import ConfigError, DatasetError
from shared.run.config import load_config
from shared.run.run import Run
from tests.conftest import ROOT
from tests.web_server import photograph
from tests.workers.describing import save_download

CONFIG = ROOT / "configs" / "recaption.yaml"


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"max_images": 3}, "there is no 'max_images': TEST_CUTDOWN, a variable of launcher.sh"),
        ({"resume": True}, "there is no 'resume': a run always goes on where it stopped"),
        ({"checkpoint_dir": "x"}, "there is no 'checkpoint_dir': every item is recorded in OUTPUT_DIR"),
    ],
)
def test_what_is_called_otherwise_is_said(setting, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load_config(CONFIG, None, setting)


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        ("0,2", ["0000", "0002"]),
        (1, ["0001"]),
        ("1-2", ["0001", "0002"]),
        ("7-9", "none of the folders that shards names is in"),
        ("all", "shards is 'all'; it should be numbers of folders, as 0-9 or 3,5"),
    ],
)
def test_shards_are_folders_of_a_download(tmp_path, shards, said):
    save_download(tmp_path / "download", 6, shard_size=2)
    run = Run(load_config(CONFIG, str(tmp_path / "download"), {"shards": shards}), tmp_path / "out")
    if isinstance(said, list):
        assert sorted({item["key"][1:5] for item in run.source.items()}) == said
    else:
        with pytest.raises(DatasetError, match=said):
            list(run.source.items())


def test_shards_of_another_input_are_said(tmp_path):
    (tmp_path / "a.jpg").write_bytes(photograph(1))
    with pytest.raises(DatasetError, match="is no download, which has numbered folders"):
        list(Source(str(tmp_path), shards="0-1").items())
