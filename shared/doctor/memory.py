"""Whether a step's models fit into the memory of a worker's GPUs, or of the machine where there are none."""

from collections.abc import Iterator, Sequence

from shared.doctor.finding import GIB, Finding, fail, ok, size, warn
from shared.doctor.machine import Gpu
from shared.doctor.placement import check_placement
from shared.doctor.weights import StoredWeights
from shared.forecast import Model

BESIDE = 2 * GIB  # CUDA itself, and what is computed with
SHARE_BESIDE = 0.1  # and more of that for larger models

Sized = tuple[Model, StoredWeights]


def check_memory(
    label: str, models: Sequence[Sized], workers: Sequence[Sequence[Gpu]], memory: int
) -> Iterator[Finding]:
    """`workers` are the GPUs of each; `memory` is the machine's, in bytes."""
    names = ", ".join(model.name for model, _ in models)
    if not any(workers):
        needed = sum(weights.stored for _, weights in models) * (1 + SHARE_BESIDE)
        total = needed * max(1, len(workers))
        how = f"{label}: {size(total)} of memory for {len(workers)} workers with {names} each"
        if total > memory:
            yield fail(f"{how}, and the machine has {size(memory)}; set a smaller GPU_COUNT, or take smaller models")
        else:
            yield ok(how)
        return
    gpus = min((worker for worker in workers if worker), key=lambda worker: min(gpu.total for gpu in worker))
    smallest = min(gpus, key=lambda gpu: gpu.total)
    if smallest.total and len(models) == 1 and models[0][0].placement and models[0][1].parts:
        yield from check_placement(label, *models[0], smallest)
        return
    if not smallest.total:
        yield warn(f"{label}: GPU {smallest.index} does not tell its memory; whether {names} fits is not known")
        return
    needed = BESIDE + sum(share_of(model, weights, len(gpus)) for model, weights in models)
    share = min((model.memory_share for model, _ in models if model.memory_share), default=1.0)
    room = share * smallest.total
    kind = f"{size(smallest.total)} GPU"
    where = f"each of a worker's {len(gpus)} {kind}s" if len(gpus) > 1 else f"a worker's {kind}"
    limited = f", of which gpu_memory_utilization gives {size(room)}" if share < 1 else ""
    sentence = f"{label}: {names} needs {size(needed)} of {where}{limited}"
    if needed > room and any(model.may_offload for model, _ in models):
        yield warn(f"{sentence}; the rest stays in the machine's memory, which is many times slower")
    elif needed > room:
        yield fail(f"{sentence}; {way_out(models, needed, smallest, share, len(gpus))}")
    elif smallest.free < (room if share < 1 else needed):
        wanted = size(room if share < 1 else needed)
        lower = ", or lower gpu_memory_utilization" if share < 1 else ""
        yield fail(f"{sentence}; it takes {wanted} and {size(smallest.free)} are free: end what else runs on it{lower}")
    else:
        yield ok(sentence)


def share_of(model: Model, weights: StoredWeights, gpus: int) -> float:
    """Bytes that a model takes of each GPU, with what is computed beside it."""
    loaded = weights.halved if model.is_halved else weights.stored
    return loaded * (1 + SHARE_BESIDE) / (gpus if model.is_split else 1)


def way_out(models: Sequence[Sized], needed: float, gpu: Gpu, share: float, gpus: int) -> str:
    if all(model.is_split for model, _ in models):
        room = share * gpu.total - BESIDE
        count = gpus
        while count < 64 and (needed - BESIDE) * gpus / count > room:
            count *= 2
        return f"set GPUS_PER_WORKER={count}, or take a smaller model"
    return "take a smaller model" + (
        ", or offload: true" if any(model.kind == "transformers" for model, _ in models) else ""
    )
