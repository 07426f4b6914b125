"""Each captioner of configs/models/ from its config to its table, on a tiny model, one after another in one process.

python -m tests.captioners_run FOLDER writes FOLDER/found.json: what each has said of two photographs, or why it has not.
vLLM takes half a minute to be imported, and a few seconds for a tiny model.
"""

import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run.advance import advance
from shared.run.config import load_config
from shared.run.run import Run
from tests import tiny_captioners, tiny_documented, tiny_minicpmv, tiny_phi3v, tiny_vlm
from tests.smollm2 import smollm2

SMALL = {"dtype": "float32", "max_num_seqs": 2, "engine_options": {"enforce_eager": True}}
IN_VLLM = {
    "BLIPCaptioner": tiny_documented.blip2, "LLaVACaptioner": tiny_documented.llava,
    "LLaVANeXTCaptioner": tiny_documented.llava_next, "LLaVAOneVisionCaptioner": tiny_documented.llava_onevision,
    "QwenVLCaptioner": tiny_vlm.qwen2vl, "qwen3vl": tiny_vlm.qwen3vl, "Gemma3": tiny_captioners.gemma3,
    "JoyCaption": tiny_documented.joycaption, "InternVLChat": tiny_captioners.internvl_chat, "Phi3VCaptioner": tiny_phi3v.phi3v, "MiniCPMV": tiny_minicpmv.minicpmv,
}  # fmt: skip
PARTICULAR = {"MiniCPMV": {"dtype": "bfloat16"}}  # vLLM's linear attention on a CPU knows no other
IN_TRANSFORMERS = {
    "MLLamaCaptioner": tiny_documented.mllama, "SmolVLM2": tiny_documented.smolvlm, "smolvlm": tiny_documented.smolvlm, "Florence2": tiny_captioners.florence2,
}  # fmt: skip


def main(folder: Path) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    photographs = folder / "photographs"
    photographs.mkdir()
    for number, size in enumerate(((96, 64), (64, 128))):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photographs / f"{number}.png")
    tiny_phi3v.shrink_tower_of_vllm()
    models: dict[Any, Path] = {}
    found = {}
    for name, make in (IN_VLLM | IN_TRANSFORMERS).items():
        try:
            if make not in models:
                models[make] = make(folder / make.__name__, tiny_vlm.SENTENCE)
            more = SMALL | PARTICULAR.get(name, {}) if name in IN_VLLM else {"dtype": "float32", "offload": False}
            found[name] = captioned(folder, name, {"model_path": str(models[make]), **more})
        except Exception:
            found[name] = traceback.format_exc()
    try:
        found["TextGenerator"] = written(folder)
    except Exception:
        found["TextGenerator"] = traceback.format_exc()
    (folder / "found.json").write_text(json.dumps(found))


def captioned(folder: Path, name: str, options: dict) -> dict[str, Any]:
    """What comes of a run of one step that the preset names."""
    config = folder / f"{name}.yaml"
    step = {"type": "ImageCaptioner", "name": name, "config": options}
    if name == "InternVLChat":
        options |= {"trust_remote_code": True, "max_num": 6}
    config.write_text(yaml.safe_dump({"meta_path": str(folder / "photographs"), "text_key": "text", "steps": [step]}))
    run = Run(load_config(config), folder / name)
    advance(run, print)
    [one] = run.steps
    status = Loop(one, Place()).run()
    length = getattr(one.worker._engine, "settings", {}).get("max_model_len")
    one.worker._engine.close()
    advance(run, print, begun=frozenset([1]))
    rows = [json.loads(line) for line in one.result_path.read_text().splitlines()]
    failures = [json.loads(path.read_text())["message"] for path in one.records.failures.glob("*.json")]
    return {
        "status": status, "captions": [row["text"] for row in rows], "failures": failures, "max_model_len": length,
        "prompt_tokens": [row["prompt_tokens"] for row in rows],
    }  # fmt: skip


def written(folder: Path) -> dict[str, Any]:
    """What SmolLM2 writes in vLLM: a sentence about each text, and fields of a schema."""
    rows = (
        "A grey cat sits on a wooden windowsill in warm evening light.",
        "Snowy mountains with a lake in front of them.",
    )
    table = folder / "rows.jsonl"
    table.write_text("".join(json.dumps({"key": str(number), "text": text}) + "\n" for number, text in enumerate(rows)))
    schema = {"type": "object", "properties": {"animal": {"enum": ["cat", "dog", "none"]}}, "required": ["animal"]}
    common = SMALL | {"model_path": str(smollm2()), "temperature": 0, "max_model_len": 64}
    steps = [
        {"prompt": "Summarize in one sentence: {text}", "text_key": "summary", "max_tokens": 48, **common},
        {"prompt": "Which animal is in this? {text}", "structured": schema, "max_tokens": 24, **common},
    ]  # fmt: skip
    config = folder / "text.yaml"
    entries = [{"type": "TextGenerator", "name": "TextGenerator", "config": options} for options in steps]
    config.write_text(yaml.safe_dump({"meta_path": str(table), "image_key": None, "steps": entries}))
    run = Run(load_config(config), folder / "text")
    for number, step in enumerate(run.steps):
        advance(run, print, begun=frozenset(range(1, number + 1)))
        Loop(step, Place()).run()
        step.worker._engine.close()
    advance(run, print, begun=frozenset([1, 2]))
    return {"rows": [json.loads(line) for line in run.steps[1].result_path.read_text().splitlines()]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
