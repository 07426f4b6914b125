"""What recaption.yaml is told: options of other programs, and the shards of a download."""

import pytest
import yaml

from shared.commands.publish import publisher_of
from shared.dataset import Source
from shared.errors import ConfigError, DatasetError
from shared.run.advance import input_settings
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


def test_the_first_shard_alone_is_a_setting_too(tmp_path):
    save_download(tmp_path / "download", 6, shard_size=2)
    made = [Run(load_config(CONFIG, str(tmp_path / "download"), {"shards": one}), tmp_path / "out") for one in (0, 1)]
    assert [input_settings(run)["shards"] for run in made] == [0, 1]


def test_a_step_is_published_by_the_next_one_whatever_its_number(tmp_path):
    config = yaml.safe_load(CONFIG.read_text())
    config["steps"].insert(1, {"type": "other"})  # without a name: it is passed over, and keeps its number
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    run = Run(load_config(tmp_path / "run.yaml", str(tmp_path), {"hf_repo": "a"}), tmp_path / "out")
    captions, push = run.steps
    assert (captions.number, push.number) == (1, 3)
    assert publisher_of(captions) is push and publisher_of(push) is None
