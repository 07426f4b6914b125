"""A config is checked whole; what is wrong is one sentence with the step, the key and the nearest right one."""

import pytest

from shared.errors import ConfigError
from shared.run.config import load_config
from shared.run.option_help import describe_options
from shared.run.step_types import step_types
from workers.filter import Filter
from workers.template import Template


@pytest.fixture
def load(tmp_path):
    def write(text: str, **more):
        path = tmp_path / "run.yaml"
        path.write_text(text.replace("\t", "    "))
        return load_config(path, **more)

    return write


def sentence(load, tmp_path, text: str, **more) -> str:
    """The error of a config, without the folder."""
    with pytest.raises(ConfigError) as caught:
        load(text, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{tmp_path}/", "")


WHOLE = """
meta_path: photographs
key_column: id
seed: 7
steps:
  - type: template
    config: {batch_size: 3}
  - type: filter
    name: best
    config:
      num_images: 10
"""


def test_a_config_becomes_workers_with_checked_options(load):
    config = load(WHOLE)
    assert (config.meta_path, config.image_key, config.key_column, config.seed) == ("photographs", "image", "id", 7)
    first, second = config.steps
    assert first.worker == Template(batch_size=3)
    assert isinstance(second.worker, Filter)
    assert second.worker.num_images == 10
    assert (first.label, first.folder_name) == ("step 1 (template)", "step_1_template")
    assert (second.label, second.folder_name) == ("step 2 (best)", "step_2_filter_best")
    assert config.notes == []


@pytest.mark.parametrize("overrides", [None, {"provider": "openai"}])
def test_a_provider_is_a_preset_whatever_the_step_is_called(load, overrides):
    text = "meta_path: p\nsteps:\n  - type: caption\n    name: keywords\n    config: {%s}"
    config = load(text % ("max_tokens: 9" if overrides else "provider: openai, max_tokens: 9"), overrides=overrides)
    [step], notes = config.steps, config.notes
    assert (step.worker.engine, step.worker.model_path, step.worker.key_variable) == (
        "server",
        "gpt-4o",
        "OPENAI_API_KEY",
    )
    assert (step.worker.max_tokens, step.folder_name, notes) == (9, "step_1_caption_keywords", [])


STEP = "meta_path: p\nsteps:\n  - "
OPTIONS = STEP + "type: filter\n    config:\n      "
TYPES = ", ".join(step_types())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "run.yaml should hold keys and values; the keys are meta_path, meta_folder, base_folder, save_folder, image_key, text_key, video_key, key_column, reader, shards, seed, folder, paths, claims, launcher, slurm, steps"),
        ("- a\n- b\n", "run.yaml should hold keys and values; the keys are"),
        ("meta_path: p\n", "run.yaml has no steps; it needs a list `steps:` of entries with a `type:`"),
        ("meta_path: p\nsteps: {type: filter}\n", "run.yaml has no steps;"),
        ("meta_path: p\nsteps: []\n", "run.yaml has no steps;"),
        ("steps:\n  - type: template\n", "run.yaml has no meta_path; it names a folder of photographs or a table, or set INPUT"),
        ("meta_path: [a]\nsteps:\n  - type: template\n", "run.yaml has no meta_path;"),
        ("mata_path: p\nsteps: []\n", "run.yaml: no key 'mata_path'; did you mean 'meta_path'? (meta_path, meta_folder,"),
        ("1: p\nsteps: []\n", "run.yaml: no key 1; (meta_path, meta_folder,"),
        ("seed: many\n" + STEP + "type: template", "run.yaml: seed is 'many'; input should be a valid integer"),
        ("image_key: 3\n" + STEP + "type: template", "run.yaml: image_key is 3; it should be a column, or a list of columns"),
        ("image_key: [a, a]\n" + STEP + "type: template", "run.yaml: image_key names the column 'a' twice"),
        ("image_key: [a, image]\n" + STEP + "type: template", "run.yaml: image_key should have the column 'image' first,"),
        ("image_key: []\n" + STEP + "type: template", "run.yaml: image_key is an empty list; leave it empty where there"),
        (STEP + "template", f"step 1 of run.yaml has no type; the types are {TYPES}"),
        (STEP + "name: a", f"step 1 of run.yaml has no type; the types are {TYPES}"),
        (STEP + "type: 7", f"step 1 of run.yaml has no type; the types are {TYPES}"),
        (STEP + "type: fliter", "step 1 of run.yaml: no type 'fliter'; did you mean 'filter'? ("),
        (STEP + "type: launch", "step 1 of run.yaml: no type 'launch'; ("),
        (STEP + "type: ../shared/run", "step 1 of run.yaml: no type '../shared/run'; ("),
        (STEP + "type: caption\n    config: {provider: mistal}", "step 1 (caption): no provider 'mistal'; did you mean 'mistral'? ("),
        (STEP + "type: filter\n    config: {provider: mistral}", "step 1 (filter): no option 'provider';"),
        (STEP + "type: filter\n    confg: {}", "step 1 of run.yaml: no key 'confg'; did you mean 'config'? (type, name, config)"),
        (STEP + "type: filter\n    config: [a]", "step 1 of run.yaml: config is ['a']; it should be a mapping of options"),
        (STEP + "type: filter\n    name: a/b", "step 1 of run.yaml: the name 'a/b' names a folder; use letters, digits, - and _"),
        (STEP + "type: filter\n    name: ../x", "step 1 of run.yaml: the name '../x' names a folder; use letters, digits, - and _"),
        (STEP + "type: filter\n    name: 5", "step 1 of run.yaml: the name 5 names a folder; use letters, digits, - and _"),
        (OPTIONS + "num_image: 5", "step 1 (filter): no option 'num_image'; did you mean 'num_images'? (batch_size, "),
        (OPTIONS + "seed: 5", "step 1 (filter): no option 'seed'; did you mean 'select'? (batch_size, "),
        (OPTIONS + "num_images: lots", "step 1 (filter): num_images is 'lots'; input should be a valid integer"),
        (OPTIONS + "num_images: 0", "step 1 (filter): num_images is 0; input should be greater than 0"),
        (OPTIONS + "num_images:", "step 1 (filter): num_images is None; input should be a valid integer"),
        (OPTIONS + "method: best", "step 1 (filter): method is 'best'; "),
        (OPTIONS + "split_ratios: [1, 2]", "step 1 (filter): the option 'split_ratios.2' is needed"),
        (OPTIONS + "split_ratios: [0, 0, 0]", "step 1 (filter): split_ratios is [0.0, 0.0, 0.0]; one of train"),
        (OPTIONS + "split_ratios: [0.8, half, 0]", "step 1 (filter): split_ratios.1 is 'half'; input should be a valid number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(load, tmp_path, text, expected):
    assert sentence(load, tmp_path, text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("meta_path: p\nsteps:\n  - type: [a\n", "run.yaml line 4 is not valid YAML: expected ',' or ']'"),
        ("meta_path: p\n  seed: 3\n", "run.yaml line 2 is not valid YAML: mapping values are not allowed here"),
        (
            "meta_path: p\nseed: 1\nmeta_path: q\n",
            "run.yaml line 3 is not valid YAML: the key 'meta_path' stands twice",
        ),
        (OPTIONS + "cutoff: 1\n      cutoff: 2", "run.yaml line 6 is not valid YAML: the key 'cutoff' stands twice"),
        ("meta_path: @p\n", "run.yaml line 1 is not valid YAML: found character '@' that cannot start any token"),
        ("? [a]\n: b\n", "run.yaml line 1 is not valid YAML: found unhashable key"),
        ("a: &x [*x]\n", "run.yaml"),
        ("a: *nowhere\n", "run.yaml line 1 is not valid YAML: found undefined alias"),
        ("a: !!python/object:os.system {}\n", "run.yaml line 1 is not valid YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "run.yaml line 2 is not valid YAML: but found another document"),
        ("a: \x07\n", "run.yaml is not valid YAML: unacceptable character #x0007: special characters are not allowed"),
    ],
)
def test_bad_yaml_is_one_sentence_with_the_line(load, tmp_path, text, expected):
    assert sentence(load, tmp_path, text).startswith(expected)


def test_a_file_that_is_not_there_is_named_with_those_that_are(tmp_path):
    (tmp_path / "other.yaml").touch()
    with pytest.raises(ConfigError, match=r"no config .*/run.yaml; there are: .*/other.yaml$"):
        load_config(tmp_path / "run.yaml")
    with pytest.raises(ConfigError, match=r"no config .*; there are: none$"):
        load_config(tmp_path / "nowhere" / "run.yaml")


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        load_config(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match=r"bytes.yaml cannot be read: .*can't decode byte 0xff"):
        load_config(tmp_path / "bytes.yaml")


def test_the_input_stands_over_the_files_and_may_stand_for_it(load):
    assert load(WHOLE, meta_path="/mine").meta_path == "/mine"
    assert load("steps:\n  - type: template", meta_path="/mine").meta_path == "/mine"


def test_an_image_key_of_null_means_that_there_are_no_photographs(load):
    assert load("image_key:\n" + STEP + "type: template").image_key is None


def test_other_without_a_name_is_passed_over_and_the_numbers_stay(load, tmp_path):
    config = load("meta_path: p\nsteps:\n  - type: other\n  - type: template\n")
    assert [step.number for step in config.steps] == [2]
    assert [note.replace(f"{tmp_path}/", "") for note in config.notes] == [
        "step 1 of run.yaml is `other` without a name and is passed over"
    ]


def test_old_names_of_types_are_accepted(load):
    [step] = load(STEP + "type: ImageCaptioner\n    name: keywords\n    config: {engine: photometric}").steps
    assert (type(step.worker).__name__, step.folder_name) == ("Caption", "step_1_ImageCaptioner_keywords")


def test_overrides_reach_every_step_that_has_the_option_or_one(load):
    config = load(WHOLE, overrides={"batch_size": 9, "2.num_images": 5, "best.cutoff": 3})
    assert [step.worker.batch_size for step in config.steps] == [9, 9]
    assert (config.steps[1].worker.num_images, config.steps[1].worker.cutoff) == (5, 3)
    assert config.notes == []


def test_an_override_that_reaches_nobody_is_told(load, tmp_path):
    config = load(WHOLE, overrides={"temperature": 1, "3.num_images": 5})
    assert [note.replace(f"{tmp_path}/", "") for note in config.notes] == [
        "temperature has no effect: no step of run.yaml takes it",
        "3.num_images has no effect: no step of run.yaml takes it",
    ]


def test_an_override_is_checked_as_the_file_is(load, tmp_path):
    assert sentence(load, tmp_path, WHOLE, overrides={"batch_size": "none"}).startswith(
        "step 1 (template): batch_size is 'none'; input should be a valid integer"
    )


def test_a_preset_is_under_the_options_of_the_step(load, tmp_path, monkeypatch):
    (tmp_path / "configs" / "models").mkdir(parents=True)
    (tmp_path / "configs" / "models" / "best.yaml").write_text("num_images: 3\ncutoff: 2\n")
    monkeypatch.setattr("shared.run.presets.PRESETS", tmp_path / "configs" / "models")
    worker = load(WHOLE).steps[1].worker
    assert (worker.num_images, worker.cutoff) == (10, 2)


def test_help_lists_every_option_with_its_default_and_what_is_allowed():
    lines = describe_options(Template).splitlines()
    assert [line.split(" = ")[0].strip() for line in lines if " = " in line] == [
        "batch_size", "max_attempts", "load_threads", "stall_seconds", "gpus_per_worker", "records", "records_name", "seconds_per_item",
    ]  # fmt: skip
    assert [line.strip() for line in lines[:3]] == [
        "batch_size = 1", "int, above 0", "items that go through process() together",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            "type: caption\n    config: {model_path: llava-hf/llava-1.5-7b-hf}",
            "model_path is of no use to engine: photometric",
        ),
        (
            "type: caption\n    config: {temperature: 0.7}",
            "temperature is of no use to engine: photometric; leave it out, or",
        ),
        ("type: caption\n    config: {prompt: Say what light}", "that it is for (vllm, server, transformers)"),
        (
            "type: caption\n    config: {engine: vllm, model_path: a, num_workers: 9}",
            "num_workers is of no use to engine: vllm",
        ),
        ("type: ImageCaptioner\n    config: {}", "ImageCaptioner needs the option 'engine', or a name or provider"),
        (
            "type: ImageCaptioner\n    name: llava\n    config: {}",
            "brings it (BLIPCaptioner, Florence2, GPTCaptioner, ",
        ),
        ("type: ImageGenerator\n    config: {}", "model_path is needed, a text-to-image model on the Hub or a folder"),
        ("type: VideoGenerator\n    name: CogVideoX", "videos are not generated here, images are: type ImageGenerator"),
        (
            "type: VideoCaptioner\n    name: LLaVANeXTVideo",
            "LLaVANeXTVideo is not supported; videos are captioned by frames",
        ),
    ],
)
def test_no_option_is_passed_over_in_silence(load, step, sentence):
    with pytest.raises(ConfigError) as caught:
        load(STEP + step)
    assert sentence in str(caught.value)


def test_a_name_may_bring_the_engine(load):
    [step] = load(STEP + "type: ImageCaptioner\n    name: qwen3vl\n    config: {}").steps
    assert step.worker.engine == "vllm"
