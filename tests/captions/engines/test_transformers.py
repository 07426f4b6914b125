import json
import logging

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers")

from shared.captions.engines.engine import Answer, Message, Question, Sampling
from shared.captions.engines.transformers import Transformers, questions_and_answers
from shared.captions.structured import SCHEMA, compose
from shared.errors import RunError
from shared.run.config import checked
from shared.worker import Loaded
from tests import tiny_vlm
from workers.caption import Caption

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}

    def model(name, sentence=None):
        if (name, sentence) not in made:
            folder = tmp_path_factory.mktemp("models") / f"{name}{'-says' * bool(sentence)}"
            made[name, sentence] = getattr(tiny_vlm, name)(folder, *([sentence] if sentence else []))
        return str(made[name, sentence])

    return model


def photograph(number, width=128):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (96 + 8 * number, width, 3), dtype=np.uint8))


def question(number, **sampling):
    given = {"temperature": 1.0, "max_tokens": 12, "seed": number} | sampling
    return Question(f"k{number}", (Message("user", "Describe the light."),), Sampling(**given), (photograph(number),))


def answers(engine, questions):
    """Texts by key, asked as the loop asks."""
    left, found = list(questions), {}
    while left or engine.waiting:
        while left and engine.room() > 0:
            engine.ask(left.pop(0))
        found |= {asked.key: answer for asked, answer in engine.answers(1)}
    return found


def started(model, **options):
    engine = Transformers(model, dtype="float32", **options)
    engine.setup()
    return engine


@pytest.mark.parametrize("name", ["qwen3vl", "qwen2vl", "llava"])
def test_real_models_answer_through_the_worker(models, name, tmp_path):
    for number in range(5):
        photograph(number).save(tmp_path / f"{number}.png")
    worker = checked(
        Caption,
        {
            "engine": "transformers",
            "model_path": models(name, tiny_vlm.SENTENCE),
            "batch_size": 2,
            "prompt": "What light?",
        },
        "step 3 (keywords)",
    )
    worker.check("step 3 (keywords)")
    worker.fill_in("step 3 (keywords)")
    worker.setup()
    items = [{"key": f"{number}.png", "image_path": str(tmp_path / f"{number}.png")} for number in range(5)]
    found = {item["key"]: found for item, found in worker.stream(Loaded(item, worker.load(item)) for item in items)}
    worker._engine.close()
    assert {key: outcome["lighting_keywords"] for key, outcome in found.items()} == dict.fromkeys(
        (item["key"] for item in items), tiny_vlm.SENTENCE
    )
    assert all(outcome["completion_tokens"] == 10 and outcome["prompt_tokens"] > 20 for outcome in found.values())


def test_an_answer_does_not_depend_on_what_it_is_batched_with(models):
    questions = [question(number, temperature=(0.0, 0.7, 1.0, 1.5)[number % 4]) for number in range(6)]
    alone = answers(started(models("qwen3vl"), batch_size=1), questions)
    together = answers(started(models("qwen3vl"), batch_size=4), questions)
    assert together == alone
    assert len({answer.text for answer in alone.values()}) > 3


def test_the_seed_and_the_temperature_decide_the_words(models):
    engine = started(models("qwen3vl"))
    texts = [
        answers(engine, [question(1, **sampling)])["k1"].text
        for sampling in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"temperature": 0.0}, {"temperature": 0.0, "seed": 2})
    ]
    assert texts[0] == texts[1] != texts[2]
    assert texts[3] == texts[4]


def test_greedy_is_the_model_s_own_greedy_answer(models):
    import torch

    engine = started(models("qwen3vl"))
    found = answers(engine, [question(1, temperature=0.0)])["k1"]
    inputs = engine._inputs([question(1)])
    with torch.inference_mode():
        tokens = engine.model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert found.text == engine.processor.tokenizer.decode(
        tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )


def test_top_k_and_the_repetition_penalty_reach_the_sampler(models):
    engine = started(models("qwen3vl"))
    greedy = answers(engine, [question(1, temperature=0.0)])["k1"].text
    assert answers(engine, [question(1, top_k=1)])["k1"].text == greedy
    assert answers(engine, [question(1, top_p=1e-6)])["k1"].text == greedy
    assert answers(engine, [question(1, temperature=0.0, repetition_penalty=5.0)])["k1"].text != greedy


def test_an_answer_that_is_cut_says_so(models):
    found = answers(
        started(models("qwen3vl", tiny_vlm.SENTENCE)), [question(1, max_tokens=4), question(2, max_tokens=40)]
    )
    assert found["k1"] == Answer("soft window light from", "length", found["k1"].prompt_tokens, 4)
    assert found["k2"] == Answer(tiny_vlm.SENTENCE, "stop", found["k2"].prompt_tokens, 10)


def test_a_batch_that_does_not_fit_is_halved_and_the_size_is_kept(models, monkeypatch, caplog):
    import torch

    engine = started(models("qwen3vl", tiny_vlm.SENTENCE), batch_size=8)
    generate, sizes = engine.model.generate, []

    def limited(**inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**inputs)

    monkeypatch.setattr(engine.model, "generate", limited)
    with caplog.at_level(logging.WARNING):
        found = answers(engine, [question(number, max_tokens=40) for number in range(12)])
    assert {answer.text for answer in found.values()} == {tiny_vlm.SENTENCE}
    assert len(found) == 12
    assert engine.batch_size == 2
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    assert "out of GPU memory with 8 images: going on with batches of 4" in caplog.text


def test_a_question_that_cannot_be_answered_costs_itself_alone(models):
    broken = Question("bad", (Message("user", "?"),), Sampling(max_tokens=40), images=("no image",))
    found = answers(
        started(models("qwen3vl", tiny_vlm.SENTENCE)), [question(1, max_tokens=40), broken, question(2, max_tokens=40)]
    )
    assert isinstance(found.pop("bad"), Exception)
    assert {key: answer.text for key, answer in found.items()} == {"k1": tiny_vlm.SENTENCE, "k2": tiny_vlm.SENTENCE}


def test_a_conversation_goes_on_with_what_was_said(models):
    first = question(1, max_tokens=40)
    later = Question(
        "k1",
        (*first.messages, Message("assistant", "A room."), Message("user", "And now?")),
        first.sampling,
        first.images,
    )
    engine = started(models("qwen3vl", tiny_vlm.SENTENCE))
    short, long = answers(engine, [first])["k1"], answers(engine, [later])["k1"]
    assert long.text == tiny_vlm.SENTENCE
    assert long.prompt_tokens > short.prompt_tokens


def test_a_schema_holds_random_weights_to_json(models):
    pytest.importorskip("xgrammar")
    engine = started(models("qwen3vl"), batch_size=2)
    asked = [
        Question(f"k{n}", question(n).messages, Sampling(1.0, max_tokens=300, seed=n), (photograph(n),), SCHEMA)
        for n in range(3)
    ]
    found = answers(engine, [*asked, question(7)])
    assert [compose(found[f"k{n}"].text)[2] for n in range(3)] == [""] * 3
    assert set(json.loads(found["k0"].text)) == set(SCHEMA["required"])


def test_offload_places_the_model_and_answers_the_same(models):
    asked = [question(1, max_tokens=40)]
    assert answers(started(models("qwen3vl", tiny_vlm.SENTENCE), offload=True), asked)["k1"].text == tiny_vlm.SENTENCE


def test_a_model_without_a_chat_template_is_asked_plainly(models):
    found = answers(started(models("blip2")), [question(1), question(2)])
    assert [answer.finish_reason for answer in found.values()] == ["length", "length"]
    assert all(answer.completion_tokens == 12 and answer.text for answer in found.values())


def test_a_model_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match=r"model_path \S+ is neither a folder here nor a model on the Hub"):
        Transformers(str(tmp_path / "nothing")).setup()


def test_blip_2_is_asked_in_the_form_that_vllm_puts_it_in():
    messages = (
        Message("system", "Be brief."),
        Message("user", "What room?"),
        Message("assistant", "A hall."),
        Message("user", "What light?"),
    )
    asked = questions_and_answers(Question("a", messages, Sampling()))
    assert asked == "Question: What room? Answer: A hall. Question: What light? Answer:"
