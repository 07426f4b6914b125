"""Measure how well the vllm engine keeps its model at work: python -m tests.benchmarks.captions [--full].

Four ways to the same answers, through one and the same engine: LLM.chat over the whole list (nothing can be fuller), our
stream, and LLM.chat over batches of 8 and of 6, as the originals did. The answers' lengths vary, so a batch waits for its
longest. The rounds are interleaved, and a ratio is of two ways in the same round: its median and its quartiles are printed,
and the ratio of the best rounds, since other work on the machine disturbs one way and then the other. All of it twice: the engine in a process of its own, which is
what the step does, and in this process (VLLM_ENABLE_V1_MULTIPROCESSING=0), as on small machines.

The model is a tiny Qwen3-VL with random weights, or, on a GPU, one of full size (--full).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from shared.captions.engines.engine import Message, Question, Sampling
from shared.captions.engines.vllm import Vllm
from shared.captions.engines.vllm_requests import messages_of, parameters_of
from shared.files.lookup import ROOT
from tests.benchmarks.machine import GpuUse, heading, table

WHOLE, OURS = "LLM.chat over the whole list", "the engine's stream"
PLACES = {"own": "in a process of its own (the default)", "here": "in the worker's process"}
TINY = {"images": 96, "rounds": 8, "side": 256, "max_num_seqs": 16}
FULL = {"images": 256, "rounds": 3, "side": 1024, "max_num_seqs": 128}


def main() -> None:
    arguments = parse_arguments()
    if arguments.place:
        print(json.dumps(measured(arguments)))
        return
    size = "full" if arguments.full else "tiny"
    print(heading(f"Captions: a {size} Qwen3-VL of random weights", ("torch", "vllm", "transformers")))
    print(
        f"{arguments.images} images of {arguments.side} px, {arguments.max_num_seqs} at once, batch_size "
        f"{arguments.batch_size}, answers of 8 to {arguments.longest} tokens, {arguments.rounds} rounds"
    )
    for place, words in PLACES.items():
        print(f"\nThe engine {words}:\n")
        columns = ("way", "images/s", "of the whole list", "quartiles", "best of best", "steps", "GPU busy")
        print(table(columns, ask_child(place)), flush=True)


def ask_child(place: str) -> list[list[str]]:
    """vLLM reads where its engine runs when it is imported, so each place has a process of its own."""
    environment = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": str(int(place == "own"))}
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"} | environment
    command = [sys.executable, "-m", "tests.benchmarks.captions", "--place", place, *sys.argv[1:]]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(arguments: argparse.Namespace) -> list[list[str]]:
    """The rows of the table of one place."""
    with tempfile.TemporaryDirectory() as folder, GpuUse() as gpu:
        engine = make_engine(Path(folder), arguments)
        asked = questions(arguments.images, arguments.longest, arguments.side)
        ways: dict[str, Callable[[], int]] = {
            WHOLE: lambda: chat(engine, asked, len(asked)),
            OURS: lambda: stream(engine, asked),
            "LLM.chat over batches of 8": lambda: chat(engine, asked, 8),
            "LLM.chat over batches of 6": lambda: chat(engine, asked, 6),
        }
        chat(engine, asked[:64], 64)  # warm
        spans, steps = measure(ways, arguments.rounds, count_steps(engine))
        engine.close()
    return rows(spans, steps, arguments.images, gpu)


def make_engine(folder: Path, arguments: argparse.Namespace) -> Vllm:
    from tests import large_vlm, tiny_vlm

    if arguments.full:
        model, dtype, options = large_vlm.qwen3vl(folder / "full"), "bfloat16", {"load_format": "dummy"}
    else:
        model, dtype, options = tiny_vlm.qwen3vl(folder / "tiny"), "float32", {"enforce_eager": True}
    engine = Vllm(
        str(model), dtype=dtype, max_model_len=4096, max_num_seqs=arguments.max_num_seqs, batch_size=arguments.batch_size,
        options=options,
    )  # fmt: skip
    engine.setup()
    return engine


def count_steps(engine: Vllm) -> list[int]:
    """How often the model has been run; the fewer for the same tokens, the fuller it was."""
    counted, step = [0], engine.llm.llm_engine.step

    def counting():
        counted[0] += 1
        return step()

    engine.llm.llm_engine.step = counting
    return counted


def measure(ways: dict[str, Callable[[], int]], rounds: int, counted: list[int]) -> tuple[dict, dict]:
    """Start and end of each way in each round, and its steps; the order turns, so that none always follows the same other."""
    spans: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    steps: dict[str, int] = {}
    tokens = set()
    for number in range(rounds):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started, before = time.perf_counter(), counted[0]
            tokens.add(ways[name]())
            spans[name].append((started, time.perf_counter()))
            steps[name] = counted[0] - before
    assert len(tokens) == 1, f"the ways made {tokens} tokens"
    return spans, steps


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
    """As shared/captions/asking.py does it."""
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
            (Image.fromarray(draw.integers(0, 256, (side, side, 3), dtype=np.uint8)),),
        )
        for number, length in enumerate(lengths)
    ]  # fmt: skip


def rows(spans: dict, steps: dict[str, int], images: int, gpu: GpuUse) -> list[list[str]]:
    seconds = {name: [end - start for start, end in values] for name, values in spans.items()}
    found = []
    for name, values in seconds.items():
        ratios = [whole / value for whole, value in zip(seconds[WHOLE], values, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        best = min(seconds[WHOLE]) / min(values)
        rate, spread = f"{images / statistics.median(values):.1f}", f"{low:.2f} to {high:.2f}"
        found.append([name, rate, f"{middle:.2f}", spread, f"{best:.2f}", str(steps[name]), gpu.during(*spans[name])])
    return found


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--full", action="store_true", help="a model of full size (5 thousand million weights), on a GPU"
    )
    parser.add_argument("--images", type=int)
    parser.add_argument("--rounds", type=int, help="at least 2")
    parser.add_argument("--longest", type=int, default=160, help="tokens of the longest answer")
    parser.add_argument("--side", type=int, help="pixels")
    parser.add_argument("--max-num-seqs", type=int)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--place", choices=PLACES, help="one of the two, and its rows as JSON")
    sizes = FULL if "--full" in sys.argv else TINY
    parser.set_defaults(**sizes)
    return parser.parse_args()


if __name__ == "__main__":
    main()
