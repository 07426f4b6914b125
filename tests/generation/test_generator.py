"""Eight kinds of pipelines, each a tiny one in the Hub's form: loaded by what it says it is, drawn in batches, from seeds."""

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from shared.errors import AnswerError, RunError  # noqa: E402
from shared.files.table import Table  # noqa: E402
from shared.generation.families import GENERATIONS, OPTIONAL  # noqa: E402
from shared.generation.generator import Generator, Request, as_image  # noqa: E402
from shared.images import open_image  # noqa: E402
from shared.loop.loop import Loop  # noqa: E402
from shared.loop.place import Place  # noqa: E402
from shared.run.advance import advance  # noqa: E402
from shared.run.config import load_config  # noqa: E402
from shared.run.run import Run  # noqa: E402
from shared.run.saving import save_results  # noqa: E402
from tests import tiny_generators  # noqa: E402

# Of 255: how much an image may differ when others are drawn beside it. Measured: 0.001.
BOUND = 0.05
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
PROMPTS = ["a cat", "a red house on a hill by the sea", "dogs"]
QUICK = ("StableDiffusionPipeline", "FluxPipeline")
# Letters are tokens here, and templates that go before a text are long.
KINDS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in GENERATIONS]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def model(name: str) -> str:
        if name not in made:
            made[name] = str(tiny_generators.KINDS[name](tmp_path_factory.mktemp("models") / name))
        return made[name]

    return model


def loaded(model: str, *options: str, **more) -> Generator:
    values = {"guidance_scale": 4.0, "true_cfg_scale": 3.0, "max_sequence_length": 512, "negative_prompt": "ugly"}
    generator = Generator(model, Request(64, 48, 2, **{name: values[name] for name in options}), **more)
    generator.load("cpu", "bfloat16")
    return generator


@pytest.mark.parametrize("name", KINDS)
def test_an_image_depends_on_its_prompt_and_seed_and_not_on_its_batch(models, name):
    generator = loaded(models(name), *GENERATIONS[name].options)
    assert generator.encoders and all(getattr(generator.pipeline, part) is None for part in generator.encoders)
    encoded = generator.encode(PROMPTS)
    together = generator.draw(encoded, [1, 2, 3])
    assert together.shape == (3, 48, 64, 3)
    alone = generator.draw(encoded[1:2], [2])[0]
    assert np.abs(together[1] - alone).max() * 255 <= BOUND
    again = generator.draw([*generator.encode(PROMPTS[1:2]), *encoded[:1]], [2, 1])
    assert np.abs(again - together[[1, 0]]).max() * 255 <= BOUND
    assert np.abs(generator.draw(encoded[1:2], [5])[0] - alone).mean() * 255 > 1
    assert np.abs(generator.draw(encoded[:1], [2])[0] - alone).max() * 255 > BOUND
    for image in together:
        assert as_image(image).shape == (48, 64, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["StableDiffusionXLPipeline", "FluxPipeline", "QwenImagePipeline", "ZImagePipeline"])
def test_what_is_not_to_be_seen_changes_the_image(models, name):
    options = [option for option in GENERATIONS[name].options if option != "negative_prompt"]
    without, with_it = (loaded(models(name), *some) for some in (options, GENERATIONS[name].options))
    images = [generator.draw(generator.encode(PROMPTS[:1]), [1])[0] for generator in (without, with_it)]
    assert np.abs(images[0] - images[1]).mean() * 255 > 0.01


@pytest.mark.slow
def test_weights_of_eight_bit_draw_nearly_the_same(models):
    pytest.importorskip("torchao")
    whole, small = (loaded(models("FluxPipeline"), quantize=how) for how in ("none", "int8"))
    images = [generator.draw(generator.encode(PROMPTS[:1]), [1])[0] for generator in (whole, small)]
    assert 0 < np.abs(images[0] - images[1]).mean() * 255 < 3
    assert small.sizes()["transformer"] < 0.4 * whole.sizes()["transformer"]


def test_text_encoders_that_leave_are_there_for_the_prompts_alone(models):
    generator = loaded(models("FluxPipeline"))
    generator.placement = generator.placement._replace(text_stays=False)
    moved = []
    for name, encoder in generator.encoders.items():
        encoder.to = lambda place, name=name, encoder=encoder: moved.append((name, str(place))) or encoder
    generator.encode(PROMPTS[:1])
    assert moved == [(name, place) for place in ("cpu", "cpu") for name in ("text_encoder", "text_encoder_2")]
    assert generator.pipeline.text_encoder is None


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("max_sequence_length", 512, "max_sequence_length is 512, and StableDiffusionPipeline ({model}) has no such option; it "
         "has width, height, num_inference_steps, guidance_scale, negative_prompt"),
        ("true_cfg_scale", 2.0, "true_cfg_scale is 2.0, and StableDiffusionPipeline"),
        ("width", 60, "width is 60; {model} draws whole multiples of 8, as 64"),
    ],
)  # fmt: skip
def test_what_a_pipeline_cannot_do_is_told_with_what_it_can(models, option, value, sentence):
    model = models("StableDiffusionPipeline")
    given = {"width": 64, "height": 64, "num_inference_steps": 1, option: value}
    with pytest.raises(RunError) as caught:
        Generator(model, Request(**given)).load("cpu", "bfloat16")
    assert str(caught.value).startswith(sentence.format(model=model))


def test_a_pipeline_that_does_something_else_is_told(models, tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
    with pytest.raises(RunError) as caught:
        Generator(str(tmp_path), Request(64, 64, 1)).load("cpu", "bfloat16")
    assert str(caught.value).startswith(
        f"model_path {tmp_path} is a CogVideoXPipeline; images are generated by StableDiffusion, "
    )
    with pytest.raises(RunError, match="is neither a folder here nor a model on the Hub"):
        Generator(str(tmp_path / "none at all"), Request(64, 64, 1)).load("cpu", "bfloat16")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.full((2, 2, 3), np.nan), "what was drawn is not a number: the weights are broken, or too large for 16 bit"),
        (np.zeros((2, 2, 3)), "what was drawn is black all over"),
        (np.full((2, 2, 3), 0.5), "what was drawn is of one colour all over"),
    ],
)
def test_what_is_no_picture_is_a_failure(values, sentence):
    with pytest.raises(AnswerError, match=sentence):
        as_image(values)


def test_every_kind_names_options_that_there_are():
    assert {option for kind in GENERATIONS.values() for option in kind.options} == set(OPTIONAL)


PRESETS = {
    "FLUXGenerator": "FluxPipeline", "StableDiffusionGenerator": "StableDiffusion3Pipeline", "sdxl": "StableDiffusionXLPipeline",
    "flux2": "Flux2Pipeline", "flux2-klein": "Flux2KleinPipeline", "qwen-image": "QwenImagePipeline", "z-image": "ZImagePipeline",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_draws_from_its_config_to_its_table(models, tmp_path, preset):
    (tmp_path / "rows.jsonl").write_text(
        "".join(f'{{"image": "{name}.jpg", "text": "a {name}"}}\n' for name in ("cat", "dog"))
    )
    options = {"model_path": models(PRESETS[preset]), "width": 64, "height": 64, "num_inference_steps": 2}
    step = {"type": "ImageGenerator", "name": preset, "config": options}
    path = tmp_path / "run.yaml"
    path.write_text(
        yaml.safe_dump({"meta_path": "rows.jsonl", "text_key": "text", "save_folder": "results", "steps": [step]})
    )
    run = Run(load_config(path), tmp_path / "out")
    advance(run, lambda text: None)
    assert Loop(run.steps[0], Place()).run() == 0
    assert advance(run, lambda text: None, begun=frozenset([1])).is_complete
    save_results(run, lambda text: None)
    rows = list(Table(run.steps[0].result_path))
    assert [(row["key"][:3], row["prompt"]) for row in rows] == [("cat", "a cat"), ("dog", "a dog")]
    images = sorted((tmp_path / "results" / "generated_images").iterdir())
    assert [image.name for image in images] == ["cat_generated.png", "dog_generated.png"]
    assert {open_image(image).size for image in images} == {(64, 64)}
