"""Which parts of a pipeline stay on a GPU and which leave it, with figures: for models that are generated with."""

from collections.abc import Iterator

from shared.doctor.finding import Finding, fail, ok, size, warn
from shared.doctor.machine import Gpu
from shared.doctor.weights import StoredWeights
from shared.forecast import Model
from shared.generation.placement import Placement, choose_placement, is_text, needed_bytes

LARGE = ("transformer", "unet")


def check_placement(label: str, model: Model, weights: StoredWeights, gpu: Gpu) -> Iterator[Finding]:
    """As the generate step will decide it, on a GPU of that size."""
    sizes = {name: loaded_bytes(name, part, model) for name, part in weights.parts}
    placement: Placement = choose_placement(sizes, gpu.free or gpu.total, model.placement)  # type: ignore[arg-type]
    text = sum(count for name, count in sizes.items() if is_text(name))
    figures = (
        f"{label}: {model.name} has {size(sum(sizes.values()))} of weights, {size(text)} of them for texts; of the "
        f"{size(gpu.total)} of a worker's GPU {size(gpu.free)} are free"
    )
    if needed_bytes(sizes, placement) > (gpu.free or gpu.total):
        yield fail(f"{figures}, too little for offload: {model.placement}; take offload: auto, or quantize: int8")
    elif placement.others == "sequential":
        yield warn(f"{figures}: {placement.words}; quantize: int8 halves the weights, or take a smaller model")
    else:
        yield ok(f"{figures}: {placement.words}")


def loaded_bytes(name: str, part: StoredWeights, model: Model) -> int:
    loaded = part.halved if model.is_halved else part.stored
    return int(loaded * (model.quantized if name in LARGE or is_text(name) else 1))
