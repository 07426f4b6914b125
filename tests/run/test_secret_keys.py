"""A key never stands in a file: a config names the environment's variable, or leaves the gap that documents print."""

import pytest

from shared.errors import ConfigError
from shared.run.config import load_config
from shared.run.secret_keys import without_key

KEY = "sk-proj-9f8e7d6c5b4a"


@pytest.mark.parametrize("written", ["your_api_key_here", "YOUR-API-KEY", "<key>", "xxx", "", None, "..."])
def test_a_gap_leaves_the_variable_of_the_preset(written):
    assert without_key({"api_key": written, "key_variable": "OPENAI_API_KEY"}, "step 1") == {
        "key_variable": "OPENAI_API_KEY"
    }


@pytest.mark.parametrize("written", ["$MY_KEY", "${MY_KEY}"])
def test_a_variable_is_the_environment_s(written):
    assert without_key({"api_key": written, "a": 1}, "step 1") == {"key_variable": "MY_KEY", "a": 1}


def test_a_key_is_refused_and_never_printed(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "meta_path: p\nsteps:\n  - type: TextGenerator\n    name: GPTTextGenerator\n    config:\n"
        f"      {{model: gpt-4o, api_key: {KEY}, prompt: Sum up}}\n"
    )
    for overrides in ({}, {"api_key": KEY + "x"}):
        with pytest.raises(ConfigError) as caught:
            load_config(path, None, overrides)
        assert KEY not in str(caught.value)
        assert str(caught.value) == (
            "step 1 (GPTTextGenerator): api_key holds a key, which would stand in files that others read; write api_key: "
            "$OPENAI_API_KEY, and say the key in the environment: export OPENAI_API_KEY=... (one that was in a file is better "
            "replaced)"
        )
    path.write_text(path.read_text().replace(KEY, "$OTHER_KEY"))
    [step] = load_config(path).steps
    assert (step.worker.key_variable, step.worker.model_path, step.worker.engine) == ("OTHER_KEY", "gpt-4o", "server")
