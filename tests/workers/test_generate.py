"""Images of texts as a person launches them: two workers, names, seeds, what each file says of itself, and failures."""

import base64
import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from shared.errors import ConfigError
from shared.run.config import load_config
from tests.chat_server import ChatServer

STEP = "step_1_ImageGenerator_FLUXGenerator"
SMALL = {"width": 64, "height": 48, "num_inference_steps": 2, "max_sequence_length": 32, "batch_size": 2}


@pytest.fixture(scope="session")
def tiny_generator(tmp_path_factory) -> str:
    pytest.importorskip("diffusers")
    from tests.tiny_generators import flux

    return str(flux(tmp_path_factory.mktemp("models") / "flux"))


def write_rows(project, rows):
    project.input = project.folder / "rows.jsonl"
    project.input.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_config(project, model, top=None, **options):
    step = {"type": "ImageGenerator", "name": "FLUXGenerator", "config": {"model_path": model, **SMALL, **options}}
    project.write_config(step, **({"image_key": "image", "text_key": "text"} | (top or {})))


def log_of(project):
    return "".join(path.read_text() for path in sorted((project.folder / "logs").glob("gpu*.log")))


ROWS = [
    {"image": "images/cat.jpg", "text": "A cat sitting on a windowsill.", "source": "me"},
    {"image": "images/sunset.png", "text": "A beautiful sunset over the mountains."},
    {"image": "other/cat.png", "text": "Another cat."},
    {"text": "Nothing but words."},
    {"image": "empty.png", "text": ""},
]


@pytest.mark.slow
def test_every_text_is_drawn_and_the_file_says_how(project, tiny_generator):
    write_rows(project, ROWS)
    write_config(project, tiny_generator, {"save_folder": str(project.folder / "results")})
    done = project.run(GPU_COUNT=1)
    assert done.returncode == 3, done.stdout + log_of(project)
    rows = project.rows(STEP)
    names = [row["generated_path"] for row in rows]
    assert [name.split("/")[0] for name in names] == ["generated_images"] * 4
    assert names[1] == "generated_images/sunset_generated.png"
    assert names[0] == f"generated_images/{rows[0]['key']}_generated.png" != names[2]
    assert (rows[0]["source"], rows[0]["image"], rows[0]["text"]) == ("me", "images/cat.jpg", ROWS[0]["text"])
    for row in rows:
        with Image.open(project.output / STEP / row["generated_path"]) as image:
            assert image.size == (64, 48)
            assert image.text["prompt"] == row["prompt"] == row["text"]
            assert json.loads(image.text["parameters"]) == row["generation"]
    assert rows[0]["generation"]["guidance_scale"] == 4.5  # of the preset
    [failure] = (project.output / STEP / "failures").glob("*.json")
    assert json.loads(failure.read_text())["message"].endswith(
        'has nothing in "text" to be drawn; it has key, image, image_path'
    )
    saved = project.folder / "results"
    assert sorted(str(path.relative_to(saved)) for path in saved.rglob("*.png")) == sorted(names)
    report = (project.output / "report.html").read_text()
    assert (
        "From items to images" in report
        and 'id="drawn"' in report
        and "A beautiful sunset over the mountains." in report
    )


@pytest.mark.slow
def test_an_image_is_the_same_whatever_is_drawn_beside_it(project, tiny_generator):
    write_rows(project, ROWS[:4])
    write_config(project, tiny_generator)
    assert project.run(GPU_COUNT=1).returncode == 0
    first = {row["key"]: Image.open(project.output / STEP / row["generated_path"]) for row in project.rows(STEP)}
    other = project.folder / "other"
    assert project.run(GPU_COUNT=1, BSZ=3, OUTPUT_DIR=other).returncode == 0
    for row in (json.loads(line) for line in (other / STEP / "result.jsonl").read_text().splitlines()):
        one, two = (
            np.asarray(image, int) for image in (first[row["key"]], Image.open(other / STEP / row["generated_path"]))
        )
        assert np.abs(one - two).max() <= 1


@pytest.mark.slow
def test_several_captions_are_one_image_each_on_request_and_jpeg_says_its_prompt_too(project, tiny_generator):
    write_rows(project, [{"key": "a", "text": "one", "text_all": ["one", "two", "three"]}])
    write_config(project, tiny_generator, {"image_key": None}, captions="each", image_format="jpg")
    assert project.run(GPU_COUNT=1).returncode == 0, log_of(project)
    [row] = project.rows(STEP)
    assert [row[name] for name in ("generated_path", "generated_2_path", "generated_3_path")] == [
        f"generated_images/a_generated{ending}.jpg" for ending in ("", "_2", "_3")
    ]
    assert [row["prompt"], row["generated_2_prompt"], row["generated_3_prompt"]] == ["one", "two", "three"]
    with Image.open(project.output / STEP / row["generated_3_path"]) as image:
        assert image.format == "JPEG"
        assert json.loads(image.info["comment"])["prompt"] == "three"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"device": "cuda"},
            "step 1 (FLUXGenerator): device is cuda, and there is no NVIDIA GPU here; device: cpu runs it, many",
        ),
        ({"model_path": "nowhere/at-all"}, "nowhere/at-all"),
    ],
)
def test_what_cannot_be_is_told_before_anything_loads(project, tiny_generator, options, sentence):
    if "device" in options and os.path.exists("/dev/nvidia0"):
        pytest.skip("there is a GPU here")
    write_rows(project, ROWS[:1])
    write_config(project, tiny_generator, **options)
    done = project.run(HF_HUB_OFFLINE=1)
    assert done.returncode in (1, 2)
    assert sentence in done.stdout.splitlines()[-1]
    assert not (project.output / STEP).exists()


def test_an_option_that_the_pipeline_lacks_is_told_when_the_config_is_read(tmp_path, tiny_sd15):
    path = tmp_path / "run.yaml"
    path.write_text(
        "meta_path: p\nsteps:\n  - type: ImageGenerator\n    name: FLUXGenerator\n"
        f"    config: {{model_path: {tiny_sd15}, width: 64, height: 64}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == (
        f"step 1 (FLUXGenerator): max_sequence_length is 512, and StableDiffusionPipeline ({tiny_sd15}) has no such option; it "
        "has width, height, num_inference_steps, guidance_scale, negative_prompt"
    )


def drawn_by_server(size=(40, 30), shade=None) -> dict:
    pixels = np.full((size[1], size[0], 3), shade, np.uint8) if shade is not None else None
    pixels = (
        np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) if pixels is None else pixels
    )
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"created": 1, "data": [{"b64_json": base64.b64encode(stream.getvalue()).decode()}]}


@pytest.mark.slow
def test_a_server_draws_and_what_it_refuses_or_leaves_black_costs_that_item_alone(project):
    answers = {
        "a bad wish": (
            400,
            {
                "error": {
                    "message": "Your request was rejected by the safety system.",
                    "type": "image_generation_user_error",
                }
            },
        ),
        "nothing": drawn_by_server(shade=0),
    }
    seen: set[str] = set()

    def script(number, body):
        if body["prompt"] == "busy" and body["prompt"] not in seen:
            seen.add(body["prompt"])
            return 503, {"error": {"message": "busy"}}
        return answers.get(body["prompt"], drawn_by_server())

    write_rows(
        project, [{"key": str(n), "text": text} for n, text in enumerate(("a cat", "a bad wish", "nothing", "busy"))]
    )
    with ChatServer(script, models=("gpt-image-1",)) as server:
        step = {
            "type": "ImageGenerator",
            "name": "ImageAPIGenerator",
            "config": {"server_url": server.url, "api_key": "$MY_KEY"},
        }
        project.write_config(step, text_key="text")
        done = project.run(MY_KEY="sk-1", GPU_COUNT=1)
        assert done.returncode == 3, done.stdout + log_of(project)
        lacking = project.run(GPU_COUNT=1, OUTPUT_DIR=project.folder / "other")
    made = "step_1_ImageGenerator_ImageAPIGenerator"
    assert [(row["key"], row["generation"]) for row in project.rows(made)] == [
        (key, {"model": "gpt-image-1", "width": 40, "height": 30}) for key in ("0", "3")
    ]
    failures = {
        path.stem: json.loads(path.read_text())["message"] for path in (project.output / made / "failures").iterdir()
    }
    assert failures["1"] == "the server refuses this one (status 400: Your request was rejected by the safety system.)"
    assert failures["2"].startswith("what was drawn is black all over")
    assert sorted(body["prompt"] for body in server.requests) == ["a bad wish", "a cat", "busy", "busy", "nothing"]
    body = server.requests[0]
    assert (body["model"], body["n"], body["size"]) == ("gpt-image-1", 1, "1024x1024")
    assert server.headers[-1]["Authorization"] == "Bearer sk-1"
    assert lacking.returncode == 1 and "MY_KEY is not set" in lacking.stdout
