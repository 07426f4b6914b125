"""The run with models, configs/relight_gpu.yaml, with tiny random models in the places of the large ones."""

import json
from importlib.util import find_spec

import pytest
import yaml

from tests.conftest import ROOT, VLLM_CACHE

MISSING = [name for name in ("torch", "open_clip", "diffusers", "transformers", "vllm") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

SAMPLES = ("astronaut.jpg", "coffee.jpg", "cat.jpg")
PHRASE = "soft golden light from the left, quiet open field"


@pytest.mark.slow
def test_the_run_with_models_makes_triplets(project, tmp_path):
    from tests import tiny_clip, tiny_vision, tiny_vlm

    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for photograph in SAMPLES:
        (photographs / photograph).write_bytes((ROOT / "configs" / "samples" / photograph).read_bytes())
    config = yaml.safe_load((ROOT / "configs" / "relight_gpu.yaml").read_text())
    score, degrade, keywords, _ = (step["config"] for step in config["steps"])
    score["checkpoint"] = str(tiny_clip.write_clip(tmp_path / "clip"))
    degrade |= {
        "mask_model": str(tiny_vision.make_sam3(tmp_path / "sam3")),
        "albedo_model": str(tiny_vision.make_marigold(tmp_path / "marigold", "appearance")),
        "steps": 1,
        "resolution": 64,
        "detection_threshold": 0.0,  # a random model is sure of nothing
        "quality": {"least_mask": 0.0, "most_mask": 1.0},
    }
    keywords |= {
        "model_path": str(tiny_vlm.qwen3vl(tmp_path / "qwen3vl", PHRASE)),
        "dtype": "float32",
        "max_model_len": 2048,
        "max_pixels": 64 * 64,
        "engine_options": {"enforce_eager": True},
    }
    project.config.write_text(yaml.safe_dump(config))
    cpu = {"VLLM_CPU_KVCACHE_SPACE": 1, "VLLM_ENABLE_V1_MULTIPROCESSING": 0, "HF_HUB_OFFLINE": 1}
    cpu |= {"VLLM_CACHE_ROOT": VLLM_CACHE}
    done = project.run(INPUT=photographs, GPU_COUNT=1, timeout=600, **cpu)
    log = (project.folder / "logs" / "gpu0.log").read_text()
    assert done.returncode == 0, done.stdout + log[-4000:]
    rows = project.rows("step_3_caption_qwen3vl")
    assert sorted(row["key"] for row in rows) == sorted(SAMPLES)
    assert {row["lighting_keywords"] for row in rows} == {PHRASE}
    assert {(row["method"], row["albedo_method"], row["mask"]) for row in rows} <= {
        ("clip", "marigold", "sam3"),
        ("clip", "marigold", "none"),
    }
    triplets = [
        json.loads(line)
        for path in (project.output / "step_4_merge_triplets").glob("*/metadata.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(triplets) == len(SAMPLES)
    assert (project.output / "report.html").exists()
    assert "nothing to do" in project.run(INPUT=photographs, GPU_COUNT=1, **cpu).stdout
    assert project.leftovers() == [] and project.processes() == []
