"""The keys of Dataflow-Gen's configs: in the file, in the environment, by --set, and what each step takes of them."""

from pathlib import Path

import pytest

from shared.commands.variables import Variables
from shared.errors import ConfigError
from shared.files.lookup import ROOT
from shared.run.config import base_folder_of, load_config
from shared.run.run import Run
from workers.caption import Caption

PIPELINE = """
meta_path: data/rows.jsonl
meta_folder: data
base_folder: intermediate_results/
save_folder: results/
image_key: image
text_key: words
video_key: clip
steps:
 - type: ImageCaptioner
   name: QwenVLCaptioner
   config: {tensor_parallel_size: 2, top_k: 40}
 - type: TextGenerator
   name: GPTTextGenerator
   config: {prompt: Translate., top_k: 9}
 - type: ImageGenerator
   name: FLUXGenerator
   config: {weight: 512}
 - type: other
"""


@pytest.fixture
def load(tmp_path):
    def write(text=PIPELINE, overrides=None, name="run.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return load_config(path, None, overrides)

    return write


def test_steps_write_and_read_the_text_key_of_the_run(load):
    config = load()
    caption, text, generate = (step.worker for step in config.steps)
    assert (caption.text_key, text.text_key, text.input_key, generate.prompt_key) == ("words",) * 4
    assert text.prompt == ["Translate.\n\n{words}"]
    assert (generate.width, generate.height, generate.guidance_scale) == (512, 1024, 4.5)
    assert [step.folder_name for step in config.steps] == [
        "step_1_ImageCaptioner_QwenVLCaptioner", "step_2_TextGenerator_GPTTextGenerator", "step_3_ImageGenerator_FLUXGenerator",
    ]  # fmt: skip


def test_the_preset_is_that_of_the_document_and_two_gpus_hold_the_model(load):
    caption = load().steps[0].worker
    assert isinstance(caption, Caption)
    assert (caption.engine, caption.temperature, caption.top_p, caption.top_k, caption.repetition_penalty) == (
        "vllm", 0.6, 0.9, 40, 1.2,
    )  # fmt: skip
    assert (caption.gpus_per_worker, caption.max_model_len, caption.max_num_seqs, caption.batch_size) == (
        2,
        256,
        128,
        16,
    )


def test_what_has_no_effect_is_told(load):
    assert [note for note in load().notes if "step 2" in note] == [
        "step 2 (GPTTextGenerator): top_k 9 has no effect: gpt-4o takes no top_k"
    ]
    assert load().notes[-1].endswith("is `other` without a name and is passed over")


def test_a_batch_that_would_only_lie_in_memory_is_made_smaller(load):
    config = load(PIPELINE.replace("top_k: 40", "batch_size: 1000"))
    assert config.steps[0].worker.batch_size == 64
    assert config.notes[0] == (
        "step 1 (QwenVLCaptioner): batch_size 1000 is taken as 64: vllm fills its places by itself, and more would only lie in "
        "memory"
    )


def test_a_video_is_asked_about_by_eight_frames_where_nothing_else_is_said(load):
    assert load().steps[0].worker.frames == 8
    assert load(PIPELINE.replace("video_key: clip\n", "")).steps[0].worker.frames == 0
    named = (
        PIPELINE.replace("video_key: clip\n", "")
        .replace("ImageCaptioner", "VideoCaptioner")
        .replace("QwenVLCaptioner", "QwenVL")
    )
    step = load(named).steps[0]
    assert (step.worker.frames, step.worker.model_path) == (8, "Qwen/Qwen2-VL-7B-Instruct")
    assert load(PIPELINE.replace("top_k: 40", "frames: 3")).steps[0].worker.frames == 3


def test_a_step_s_own_key_stands_over_that_of_the_run(load):
    text = PIPELINE.replace("top_k: 40", "text_key: caption")
    assert load(text).steps[0].worker.text_key == "caption"
    assert load(text, {"run.text_key": "other"}).steps[0].worker.text_key == "caption"
    assert load(text, {"run.text_key": "other"}).steps[1].worker.text_key == "other"
    assert load(text, {"text_key": "all"}).steps[0].worker.text_key == "all"


@pytest.mark.parametrize(
    ("variable", "key", "value"),
    [("TEXT_KEY", "text_key", "said"), ("IMAGE_KEY", "image_key", "photo"), ("VIDEO_KEY", "video_key", "film")],
)
def test_each_key_is_taken_from_the_environment(load, variable, key, value):
    settings = dict(setting.split("=", 1) for setting in Variables({variable: value}).settings())
    assert settings == {f"run.{key}": value}
    assert getattr(load(overrides=settings), key) == value


def test_folders_of_the_environment_are_of_the_person_s_own_folder_and_those_of_a_config_lie_beside_it(load, tmp_path):
    variables = Variables({"CALLED_FROM": str(tmp_path / "here"), "SAVE_FOLDER": "results", "BASE_FOLDER": "/b"})
    assert [variables.from_here(setting) for setting in variables.settings()] == [
        "run.base_folder=/b", f"run.save_folder={tmp_path}/here/results"
    ]  # fmt: skip
    config = load()
    assert base_folder_of(config) == tmp_path / "intermediate_results"
    assert variables.output_dir(config.path, base_folder_of(config)) == tmp_path / "intermediate_results"
    given = Variables({"OUTPUT_DIR": "/o"})
    assert given.output_dir(config.path, base_folder_of(config)) == Path("/o")
    shipped = load_config(ROOT / "configs" / "dataflow.yaml")
    assert base_folder_of(shipped) == ROOT / "outputs" / "dataflow"
    assert base_folder_of(load(PIPELINE.replace("base_folder: intermediate_results/\n", ""))) is None


def test_the_input_may_be_where_the_person_is(load, tmp_path, monkeypatch):
    (tmp_path / "here" / "data").mkdir(parents=True)
    (tmp_path / "here" / "data" / "rows.jsonl").write_text('{"image": "a.jpg"}\n')
    monkeypatch.setenv("CALLED_FROM", str(tmp_path / "here"))
    run = Run(load(), tmp_path / "out")
    assert run.source.path == tmp_path / "here" / "data" / "rows.jsonl"
    assert [item["image_path"] for item in run.source.items()] == [str(tmp_path / "here" / "data" / "a.jpg")]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("QwenVLCaptioner", "QwenVLCaptoner"), "step 1 (QwenVLCaptoner): ImageCaptioner needs the option 'engine'"),
        (("weight: 512", "weight: 512, width: 9"), "step 3 (FLUXGenerator): weight and width are the same option"),
        (("weight: 512", "strenght: 1"), "step 3 (FLUXGenerator): no option 'strenght'"),
        (("prompt: Translate.", "a: 1"), "step 2 (GPTTextGenerator): no option 'a'"),
        (
            ("prompt: Translate., ", ""),
            "step 2 (GPTTextGenerator): prompt is needed: what is to be written about each item",
        ),
        (("prompt: Translate.", "prompt: '{0}'"), "step 2 (GPTTextGenerator): prompt: {0} is no field"),
        (
            ("prompt: Translate.", "prompt: a, structured: {type: array}"),
            "step 2 (GPTTextGenerator): structured: it should be",
        ),
        (("type: other", "type: othr"), "step 4 of run.yaml: no type 'othr'"),
        (("text_key: words", "text_kye: words"), "run.yaml: no key 'text_kye'; did you mean 'text_key'?"),
        (("text_key: words", "text_key: [a]"), "run.yaml: text_key is ['a']; input should be a valid string"),
    ],
)
def test_a_wrong_config_is_one_sentence(load, tmp_path, change, sentence):
    with pytest.raises(ConfigError) as caught:
        load(PIPELINE.replace(*change))
    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(sentence)
    assert "\n" not in str(caught.value)


def test_the_shipped_pipelines_are_right():
    dataflow = load_config(ROOT / "configs" / "dataflow.yaml")
    assert [type(step.worker).__name__ for step in dataflow.steps] == ["Caption", "Generate"]
    assert [item["image_path"] for item in Run(dataflow, Path("out")).source.items()] == [
        str(ROOT / "configs" / "samples" / name) for name in ("cat.jpg", "sunset.jpg")
    ]
    [step] = load_config(ROOT / "configs" / "summarize.yaml").steps
    assert "{web_caption}" in step.worker.prompt[0] and step.worker.text_key == "summary"
