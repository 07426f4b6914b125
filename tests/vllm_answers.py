"""What the tests of the vllm engine look at: real engines, in a process of their own, since vLLM binds its process's cores.

python -m tests.vllm_answers FOLDER writes FOLDER/answers.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shared.captions.engines.engine import Message, Question, Sampling
from shared.captions.engines.transformers import Transformers
from shared.run.config import checked
from shared.worker import Loaded
from tests import tiny_vlm
from workers.caption import Caption


def main(folder: Path) -> None:
    tiny_vlm.qwen3vl(folder / "random")
    tiny_vlm.qwen3vl(folder / "says", tiny_vlm.SENTENCE)
    items = [photograph(folder, number) for number in range(10)]
    found: dict[str, Any] = {}
    says = worker(folder / "says", prompt="What light?")
    found["plain"] = outcomes(says, items)
    plan = says._plan
    says._plan = worker(folder / "says", setup=False, prompt=["What room?", "What light?"], repeat_time=2).plan()
    found["conversation"] = outcomes(says, items[:2])
    says._plan = plan
    too_long = Question("long", (Message("user", "light " * 1000),), Sampling(), (Image.new("RGB", (64, 64)),))
    found["too long"] = [str(answer) for _, answer in answers(says._engine, [too_long])]
    found["revived"] = revived(says, items)
    found["dead again"] = dead_again(says, items)
    says._engine.close()

    random = worker(
        folder / "random", prompt="What light?", structured=True, temperature=1.0, max_tokens=300, max_words=30
    )
    found["structured"] = outcomes(random, items[:4])
    found["cut"] = outcomes(
        changed(random, worker(folder / "random", setup=False, prompt="?", max_tokens=9, retries=1)), items[:1]
    )
    asked = [
        Question(
            item["key"],
            (Message("user", "Describe the light."),),
            Sampling(0.0, max_tokens=12),
            (Image.open(item["image_path"]),),
        )
        for item in items[:6]
    ]
    found["greedy"] = {question.key: answer.text for question, answer in answers(random._engine, asked)}
    random._engine.close()
    other = Transformers(str(folder / "random"), dtype="float32", batch_size=1)
    other.setup()
    found["greedy of transformers"] = {question.key: answer.text for question, answer in answers(other, asked)}
    (folder / "answers.json").write_text(json.dumps(found))


def worker(model: Path, setup: bool = True, **options: Any) -> Caption:
    given = {"dtype": "float32", "max_num_seqs": 4, "max_model_len": 1024, "engine_options": {"enforce_eager": True}}
    made = checked(Caption, {"engine": "vllm", "model_path": str(model), **given, **options}, "step 3 (keywords)")
    made.check("step 3 (keywords)")
    made.fill_in("step 3 (keywords)")
    made.seed = 7
    if setup:
        made.setup()
    return made


def changed(made: Caption, other: Caption) -> Caption:
    made._plan = other.plan()
    return made


def photograph(folder: Path, number: int) -> dict:
    path = folder / f"{number}.png"
    pixels = np.random.default_rng(number).integers(0, 256, (64 + 16 * (number % 4), 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return {"key": path.name, "image_path": str(path)}


def outcomes(made: Caption, items: list[dict]) -> dict[str, Any]:
    stream = made.stream(Loaded(item, made.load(item)) for item in items)
    return {item["key"]: found if isinstance(found, dict) else repr(found) for item, found in stream}


def answers(engine: Any, questions: list[Question]) -> list:
    left, found = list(questions), []
    while len(found) < len(questions):
        while left and engine.room() > 0:
            engine.ask(left.pop(0))
        found += engine.answers(1)
    return found


def revived(made: Caption, items: list[dict]) -> dict[str, Any]:
    """The engine breaks at its third step."""
    before = made._engine.llm
    break_after(made, 3)
    found = outcomes(made, items)
    assert made._engine.llm is not before
    return found


def dead_again(made: Caption, items: list[dict]) -> str:
    break_after(made, 3)
    try:
        outcomes(made, items)
    except Exception as error:
        return repr(error)
    return "it lives"


def break_after(made: Caption, steps: int) -> None:
    engine, left = made._engine.llm.llm_engine, [steps]
    step = engine.step

    def breaking() -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return step()

    engine.step = breaking


if __name__ == "__main__":
    main(Path(sys.argv[1]))
