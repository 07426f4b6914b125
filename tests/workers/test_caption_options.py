import json

import numpy as np
import pytest
from PIL import Image

from shared.errors import ConfigError
from shared.run.config import checked, load_config
from shared.run.option_help import describe_options
from shared.run.settings import settings_of
from shared.worker import Loaded
from tests.chat_server import PHRASE, ChatServer
from workers.caption import Caption

LABEL = "step 3 (keywords)"


def worker(**options):
    made = checked(Caption, options, LABEL)
    made.check(LABEL)
    made.fill_in(LABEL)
    return made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "vllm"}, "engine vllm needs model_path, a model on the Hub or a folder"),
        ({"engine": "transformers"}, "engine transformers needs model_path, a model on the Hub or a folder"),
        ({"engine": "server", "min_words": 9, "max_words": 8}, "max_words 8 is less than min_words 9"),
        ({"engine": "server", "prompt": "nowhere/ask.txt"}, "prompt: the file .*nowhere/ask.txt does not exist"),
        ({"engine": "server", "prompt": []}, "prompt: it is empty"),
        ({"engine": "server", "prompt": ["What light?", " "]}, "prompt: it is empty"),
    ],
)
def test_options_that_cannot_be_are_one_sentence(options, message):
    with pytest.raises(ConfigError, match=f"{LABEL[:6]}.*: {message}"):
        worker(**options)


def test_the_settings_hold_the_words_of_the_prompt_s_file(tmp_path):
    (tmp_path / "ask.txt").write_text("What light is this?\n")
    assert settings_of(worker(engine="server", prompt=str(tmp_path / "ask.txt")))["prompt"] == ["What light is this?"]
    assert "one short phrase" in settings_of(worker(engine="server"))["prompt"][0]
    assert "JSON object" in settings_of(worker(engine="server", structured=True))["prompt"][0]


def test_what_only_changes_speed_place_or_price_is_not_in_the_settings_of_the_records():
    one = settings_of(worker(engine="server"))
    other = settings_of(
        worker(
            engine="server", num_workers=9, vllm_url="http://other/v1", batch_size=2, max_num_seqs=7, request_seconds=9
        )
    )
    assert one == other
    assert settings_of(worker(engine="server", temperature=0.5)) != one


@pytest.mark.parametrize("preset", ["qwen3vl", "qwen3vl-server", "mistral", "openai"])
def test_the_name_of_a_step_selects_a_preset_and_the_config_stands_over_it(tmp_path, preset):
    (tmp_path / "run.yaml").write_text(
        f"meta_path: .\nsteps:\n- type: ImageCaptioner\n  name: {preset}\n  config: {{max_tokens: 77}}\n"
    )
    made = load_config(tmp_path / "run.yaml").steps[0].worker
    assert (made.engine, made.max_tokens) == ("vllm" if preset == "qwen3vl" else "server", 77)
    assert made.model_path


def asked(tmp_path, item=None, **options):
    """The text of the question that one photograph leads to, and what was found."""
    if not (tmp_path / "a.png").exists():
        Image.fromarray(np.full((40, 60, 3), 99, np.uint8)).save(tmp_path / "a.png")
    row = {"key": "a.png", "image_path": str(tmp_path / "a.png"), **(item or {})}
    with ChatServer() as server:
        made = worker(engine="server", vllm_url=server.url, prompt="What light?", **options)
        made.setup()
        [(_, found)] = made.stream(iter([Loaded(row, made.load(row))]))
        made._engine.close()
    return server.requests[0]["messages"][0]["content"][1]["text"], found


def test_hints_are_the_light_that_the_filter_measured(tmp_path):
    light = {
        "direction": "left",
        "confidence": 0.8,
        "hardness": 0.7,
        "cct_kelvin": 3200.0,
        "key": "low",
        "contrast": 6.0,
    }
    text, _ = asked(tmp_path, {"light": light}, hints=True)
    assert text.startswith("What light?\n\nMeasured from the pixels")
    assert "the main light comes from the left of the picture" in text


def test_where_nothing_was_measured_hints_are_measured_now(tmp_path):
    text, _ = asked(tmp_path, hints=True)
    assert "Measured from the pixels" in text
    assert asked(tmp_path)[0] == "What light?"


def test_the_photograph_is_asked_about_and_not_the_degraded_image(tmp_path):
    item = {"output_image_path": str(tmp_path / "does not exist.png")}
    _, found = asked(tmp_path, item)
    assert found["lighting_keywords"] == PHRASE


def test_text_key_names_the_column(tmp_path):
    _, found = asked(tmp_path, text_key="caption")
    assert found["caption"] == PHRASE
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("engine", ["vllm", "server", "transformers"])
def test_batch_size_says_how_many_more_photographs_an_engine_takes_before_it_answers(engine):
    rooms = []
    for batch_size in (3, 5):
        made = worker(engine=engine, model_path="model", batch_size=batch_size)
        made._plan = made.plan()
        rooms.append(made.make_engine().room())
    assert rooms[1] - rooms[0] == (8 if engine == "vllm" else 2)  # up to four batches wait for a place with vllm


def test_help_says_of_an_option_what_it_is_to_this_step():
    lines = [line.strip() for line in describe_options(Caption).splitlines()]
    place = lines.index("batch_size = 8")
    assert "photographs handed to the engine together" in lines[place + 2]
