"""What vLLM's server is started with: three numbers by position, and its own options over ours."""

from itertools import pairwise

import pytest
import yaml

from shared.commands.serve import arguments_of, visible_gpus
from shared.errors import RunError
from shared.run.config import load_config
from shared.run.run import Run


@pytest.fixture
def run(tmp_path):
    step = {"type": "caption", "name": "qwen3vl", "config": {"model_path": "some/model"}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"meta_path": ".", "steps": [{"type": "filter"}, step]}))
    return Run(load_config(tmp_path / "run.yaml"), tmp_path / "out")


def told(arguments: list[str]) -> tuple[str, ...]:
    """GPUs, port, share of memory and host, the last of each, as vLLM reads them."""
    names = ("--tensor-parallel-size", "--port", "--gpu-memory-utilization", "--host")
    last = dict(pairwise(arguments))
    return tuple(last[name] for name in names)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("4", "8000", "0.9", "127.0.0.1")),
        (["2"], ("2", "8000", "0.9", "127.0.0.1")),
        (["2", "9000"], ("2", "9000", "0.9", "127.0.0.1")),
        (["2", "9000", ".8"], ("2", "9000", ".8", "127.0.0.1")),
        (["2", "--host", "0.0.0.0", "--port", "9001"], ("2", "9001", "0.9", "0.0.0.0")),
        (["--max-num-seqs", "8"], ("4", "8000", "0.9", "127.0.0.1")),
    ],
)
def test_gpus_port_and_memory_come_by_position_and_options_after_them(run, words, expected):
    arguments = arguments_of(run, words, gpus=4)
    assert told(arguments) == expected
    assert arguments[:2] == ["--model", "some/model"]
    options = words[next((place for place, word in enumerate(words) if word.startswith("--")), len(words)) :]
    assert arguments[len(arguments) - len(options) :] == options


def test_without_a_gpu_it_is_one_process(run):
    assert told(arguments_of(run, [], gpus=0))[0] == "1"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["8"], "serve: GPUs: 8 should be a whole number from 1 to 4"),
        (["0"], "serve: GPUs: 0 should be"),
        (["1", "70000"], "serve: the port: 70000 should be a whole number from 1 to 65535"),
        (["1", "8000", "9"], "serve: the share of the GPUs' memory: 9 should be above 0 and at most 1"),
        (["1", "8000", "0.9", "7"], "at most three numbers"),
        (["some/model"], "and not 'some/model'"),
    ],
)
def test_what_cannot_be_is_one_sentence(run, words, sentence):
    with pytest.raises(RunError, match=sentence):
        arguments_of(run, words, gpus=4)


def test_a_config_without_a_model_is_told(tmp_path):
    (tmp_path / "run.yaml").write_text("meta_path: .\nsteps:\n- type: filter\n")
    with pytest.raises(RunError, match="names a model; set MODEL_PATH"):
        arguments_of(Run(load_config(tmp_path / "run.yaml"), tmp_path / "out"), [], 1)


@pytest.mark.parametrize(("visible", "expected"), [("0,3", 2), ("", 0), ("-1", 0), ("GPU-1a", 1)])
def test_the_gpus_are_those_that_may_be_seen(monkeypatch, visible, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == expected
