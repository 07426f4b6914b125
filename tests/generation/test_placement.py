"""Which parts of a pipeline leave the GPU follows from their sizes, as doctor and the step itself decide it."""

import pytest

from shared.doctor.finding import size
from shared.doctor.machine import Gpu
from shared.doctor.memory import check_memory
from shared.doctor.weights import StoredWeights
from shared.forecast import Model
from shared.generation.placement import GIBIBYTE, choose_placement, needed_bytes

FLUX = {"text_encoder": 0.2, "text_encoder_2": 9.5, "transformer": 23.8, "vae": 0.2}  # GiB in bf16


def bytes_in(gibibytes: dict[str, float]) -> dict[str, int]:
    return {name: int(count * GIBIBYTE) for name, count in gibibytes.items()}


@pytest.mark.parametrize(
    ("memory", "text_stays", "others"),
    [(80, True, "gpu"), (40, True, "gpu"), (32, False, "gpu"), (28.3, False, "model"), (24, False, "sequential")],
)
def test_the_quickest_way_that_fits_is_taken(memory, text_stays, others):
    placement = choose_placement(bytes_in(FLUX), int(memory * GIBIBYTE))
    assert (placement.text_stays, placement.others) == (text_stays, others)


def test_weights_of_eight_bit_fit_where_those_of_sixteen_do_not():
    half = {name: count / 2 for name, count in FLUX.items()}
    assert choose_placement(bytes_in(half), 24 * GIBIBYTE).text_stays
    assert choose_placement(bytes_in(half), 16 * GIBIBYTE).others == "gpu"


def test_what_a_person_asks_for_is_done_and_its_need_is_known():
    assert choose_placement(bytes_in(FLUX), 1, "none").text_stays
    sizes = bytes_in(FLUX)
    needs = [needed_bytes(sizes, choose_placement(sizes, 1, how)) for how in ("none", "text", "model", "sequential")]
    assert needs == sorted(needs, reverse=True)


@pytest.mark.parametrize(
    ("memory", "offload", "quantized", "mark", "words"),
    [
        (80, "auto", 1.0, "ok", "all of it stays on the GPU"),
        (32, "auto", 1.0, "ok", "the text encoders leave the GPU once the prompts are encoded"),
        (24, "auto", 1.0, "warn", "quantize: int8 halves the weights, or take a smaller model"),
        (24, "auto", 0.5, "ok", "all of it stays on the GPU"),
        (24, "none", 1.0, "FAIL", "too little for offload: none; take offload: auto, or quantize: int8"),
    ],
)
def test_doctor_says_it_with_figures(memory, offload, quantized, mark, words):
    parts = tuple((name, StoredWeights(2 * count, count)) for name, count in bytes_in(FLUX).items())
    weights = StoredWeights(sum(one.stored for _, one in parts), sum(one.halved for _, one in parts), parts=parts)
    model = Model("m", "model_path", "diffusers", (), is_halved=True, placement=offload, quantized=quantized)
    gpu = Gpu("0", "u", memory * GIBIBYTE, memory * GIBIBYTE, "1", "G")
    [finding] = check_memory("step 1 (draw)", [(model, weights)], [[gpu]], 1)
    assert finding.mark.strip() == mark
    assert finding.sentence.endswith(words)
    assert size(memory * GIBIBYTE) in finding.sentence and "m has " in finding.sentence
