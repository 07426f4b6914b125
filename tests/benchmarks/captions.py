"""Measure how well the vllm engine keeps its model at work: python tests/benchmarks/captions.py --images 96.

Four ways to the same answers, through one and the same engine of a tiny Qwen3-VL with random weights: LLM.chat over the whole
list (nothing can be fuller), our stream, and LLM.chat over batches of 8 and of 6, as the originals did. The answers' lengths
vary, so a batch waits for its longest. The rounds are interleaved, and a ratio is of two ways in the same round.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from shared.engines.engine import Message, Question, Sampling
from shared.engines.vllm import Vllm, messages_of, parameters_of

WHOLE, OURS = "LLM.chat over the whole list", "the engine's stream"


def main() -> None:
    arguments = parse_arguments()
    if arguments.in_process:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        engine = Vllm(
            str(arguments.model or tiny_model(Path(folder))), dtype=arguments.dtype, max_model_len=2048,
            max_num_seqs=arguments.max_num_seqs, options={"enforce_eager": True} if not arguments.model else {},
        )  # fmt: skip
        engine.setup()
        asked = questions(arguments.images, arguments.longest, arguments.side)
        ways: dict[str, Callable[[], int]] = {
            WHOLE: lambda: chat(engine, asked, len(asked)),
            OURS: lambda: stream(engine, asked),
            "LLM.chat over batches of 8": lambda: chat(engine, asked, 8),
            "LLM.chat over batches of 6": lambda: chat(engine, asked, 6),
        }
        chat(engine, asked[:16], 16)  # warm
        steps = count_steps(engine)
        print_table(*measure(ways, arguments.rounds, steps), arguments)
        engine.close()


def count_steps(engine: Vllm) -> list[int]:
    """How often the model has been run; the fewer for the same tokens, the fuller it was."""
    counted, step = [0], engine.llm.llm_engine.step

    def counting():
        counted[0] += 1
        return step()

    engine.llm.llm_engine.step = counting
    return counted


def measure(ways: dict[str, Callable[[], int]], rounds: int, counted: list[int]) -> tuple[dict, dict]:
    """Seconds of each way in each round, and its steps; the order turns, so that none always follows the same other."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    steps: dict[str, int] = {}
    tokens = set()
    for number in range(rounds):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started, before = time.perf_counter(), counted[0]
            tokens.add(ways[name]())
            seconds[name].append(time.perf_counter() - started)
            steps[name] = counted[0] - before
    assert len(tokens) == 1, f"the ways made {tokens} tokens"
    return seconds, steps


def chat(engine: Vllm, asked: list[Question], size: int) -> int:
    tokens = 0
    for start in range(0, len(asked), size):
        batch = asked[start : start + size]
        outputs = engine.llm.chat(
            [messages_of(question) for question in batch],
            [parameters_of(question) for question in batch],
            use_tqdm=False,
        )
        tokens += sum(len(output.outputs[0].token_ids) for output in outputs)
    return tokens


def stream(engine: Vllm, asked: list[Question]) -> int:
    """As shared/engines/asking.py does it."""
    waiting, tokens, left = iter(asked), 0, len(asked)
    while left:
        while engine.room() > 0 and (question := next(waiting, None)) is not None:
            engine.ask(question)
        for _, answer in engine.answers(1):
            if isinstance(answer, Exception):
                raise answer
            tokens, left = tokens + answer.completion_tokens, left - 1
    return tokens


def questions(count: int, longest: int, side: int) -> list[Question]:
    """Photographs of noise, and answers of 8 to `longest` tokens, most of them short."""
    draw = np.random.default_rng(0)
    lengths = np.clip(draw.lognormal(np.log(longest / 4), 0.7, count), 8, longest).astype(int)
    return [
        Question(
            f"k{number}", (Message("user", "Describe the light of this photograph."),),
            Sampling(temperature=1.0, max_tokens=int(length), seed=number),
            Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8)),
        )
        for number, length in enumerate(lengths)
    ]  # fmt: skip


def tiny_model(folder: Path) -> Path:
    from tests.tiny_vlm import qwen3vl

    return qwen3vl(folder / "tiny")


def print_table(seconds: dict[str, list[float]], steps: dict[str, int], arguments: argparse.Namespace) -> None:
    place = "in this process" if arguments.in_process else "in a process of its own"
    print(
        f"\n{arguments.images} images, {arguments.max_num_seqs} at once, {arguments.rounds} rounds, the engine {place}"
    )
    print(f"{'way':<32}{'images/s':>10}{'of the whole list':>20}{'steps':>8}")
    for name, values in seconds.items():
        rate = arguments.images / statistics.median(values)
        ratio = statistics.median(whole / value for whole, value in zip(seconds[WHOLE], values, strict=True))
        print(f"{name:<32}{rate:>10.1f}{ratio:>20.2f}{steps[name]:>8}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--longest", type=int, default=160, help="tokens of the longest answer")
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--max-num-seqs", type=int, default=16)
    parser.add_argument("--in-process", action="store_true", help="the engine in this process, and not in its own")
    parser.add_argument("--model", help="a real one, on a GPU; a tiny one otherwise")
    parser.add_argument("--dtype", default="float32")
    return parser.parse_args()


if __name__ == "__main__":
    main()
