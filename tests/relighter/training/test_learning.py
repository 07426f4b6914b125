"""A small model learns from scratch, through the launcher, to relight scenes that it has never seen as it is told."""

import json

import pytest
import yaml

from tests.conftest import ROOT

STEPS, SCENES = 200, 140


@pytest.mark.slow
def test_a_model_learns_to_relight_by_instruction(project):
    config = yaml.safe_load((ROOT / "configs" / "train_tiny.yaml").read_text())
    scenes, train, relight, _ = (step["config"] for step in config["steps"])
    # Solids need more training than a test has time for.
    scenes |= {
        "size": 32,
        "families": ["patches", "relief"],
        "sides": ["left", "right", "above", "below"],
        "split_ratios": [0.9, 0, 0.1],
    }
    train |= {
        "resolution": 32,
        "train_batch_size": 16,
        "max_train_steps": STEPS,
        "learning_rate": 2e-3,
        "validation_steps": 0,
        "checkpointing_steps": STEPS,
    }
    relight |= {"num_inference_steps": 2, "batch_size": 32}
    project.input = project.folder / "scenes.txt"
    project.input.write_text(f"scene-{{000..{SCENES - 1}}}\n")
    project.config.write_text(yaml.safe_dump(config | {"meta_path": str(project.input)}))
    done = project.run(GPU_COUNT=1, timeout=900)
    assert done.returncode == 0, done.stdout

    found = json.loads((project.output / "step_4_evaluate" / "evaluation.json").read_text())
    assert found["images"] >= 64
    assert found["psnr"]["mean"] > found["psnr"]["floor_mean"] + 1
    # All four instructions are asked of each scene: an answer that is always the same is right in a quarter.
    assert found["obedience"]["floor_mean"] == 0.25
    assert found["obedience"]["mean"] > 0.6
    assert "Light from the side asked for" in (project.output / "report.html").read_text()
