from collections import Counter

import pytest

from shared.captions.answers import Wanted
from shared.captions.asking import Interview, Plan, ask, temperature_of
from shared.captions.engines.engine import Abandoned, Answer, Engine, Message, Sampling
from shared.errors import AnswerError
from shared.worker import Loaded

GOOD = "soft window light from the left, quiet living room"


class Scripted(Engine):
    """Answers from a function of the question, the last asked first, at most `size` in flight."""

    def __init__(self, script, size=4):
        self.script, self.size = script, size
        self.waiting, self.asked, self.most = [], [], 0

    def setup(self):
        pass

    def room(self):
        return self.size - len(self.waiting)

    def ask(self, question):
        self.waiting.append(question)
        self.asked.append(question)
        self.most = max(self.most, len(self.waiting))

    def answers(self, seconds):
        question = self.waiting.pop()
        return [(question, self.script(question))]


def say(text, reason="stop"):
    return Answer(text, reason, 900, 12)


def plan(**changes):
    given = {"prompts": ("What light?",), "sampling": Sampling(0.1, None, None, None, 100), "wanted": Wanted(5, 15)}
    return Plan(**(given | changes))


def run(engine, made, count=6):
    loaded = (Loaded({"key": f"k{number}"}, f"image {number}") for number in range(count))
    found = list(ask(engine, loaded, lambda one: Interview(made, one.item, one.data), "text"))
    assert [item["key"] for item, _ in found] != [] and len({item["key"] for item, _ in found}) == len(found)
    return {item["key"]: outcome for item, outcome in found}


def test_every_item_gets_its_answer_and_the_queue_is_kept_full():
    engine = Scripted(lambda question: say(f"{GOOD} {question.key}"))
    found = run(engine, plan())
    assert found == {
        f"k{n}": {"text": f"{GOOD} k{n}", "asked": 1, "prompt_tokens": 900, "completion_tokens": 12} for n in range(6)
    }
    assert engine.most == 4


def test_an_answer_that_does_not_pass_is_asked_for_again_at_another_temperature_with_other_numbers():
    engine = Scripted(lambda question: say(GOOD if question.sampling.temperature > 0.5 else "no"))
    found = run(engine, plan(), 1)
    assert found["k0"] == {"text": GOOD, "asked": 3, "prompt_tokens": 2700, "completion_tokens": 36}
    assert [question.sampling.temperature for question in engine.asked] == [0.1, 0.4, 0.7]
    assert len({question.sampling.seed for question in engine.asked}) == 3


def test_after_the_last_try_the_failure_has_the_answer_in_it():
    found = run(Scripted(lambda question: say("Sure! Here you are.")), plan(retries=1), 1)
    assert isinstance(found["k0"], AnswerError)
    assert str(found["k0"]) == "asked 2 times, and the last answer begins with a preamble: 'Sure! Here you are.'"
    assert found["k0"].noted == {"asked": 2, "prompt_tokens": 1800, "completion_tokens": 24}


def test_an_engine_s_own_error_is_the_item_s_failure_at_once():
    error = ValueError("too long for the model")
    engine = Scripted(lambda question: error if question.key == "k1" else say(GOOD))
    found = run(engine, plan())
    assert found["k1"] is error
    assert Counter(question.key for question in engine.asked)["k1"] == 1
    assert sum(isinstance(outcome, dict) for outcome in found.values()) == 5


def test_several_prompts_are_a_conversation_about_one_image():
    texts = {"What is there?": "A room. It has a window.", "What light?": GOOD}
    engine = Scripted(lambda question: say(texts[question.messages[-1].text]))
    made = plan(prompts=("What is there?", "What light?"), system_prompt="Be brief.")
    found = run(engine, made, 1)
    assert found["k0"]["text"] == GOOD
    assert found["k0"]["answers"] == ["A room. It has a window.", GOOD]
    assert found["k0"]["asked"] == 2
    assert engine.asked[1].messages == (
        Message("system", "Be brief."),
        Message("user", "What is there?"),
        Message("assistant", "A room. It has a window."),
        Message("user", "What light?"),
    )
    assert [question.images for question in engine.asked] == ["image 0", "image 0"]


def test_repeat_time_captions_of_one_item_have_numbers_of_their_own():
    engine = Scripted(lambda question: say(f"{GOOD} {question.asker.number}"))
    found = run(engine, plan(captions=3), 2)
    assert found["k1"]["text"] == f"{GOOD} 0"
    assert found["k1"]["text_all"] == [f"{GOOD} {number}" for number in range(3)]
    assert found["k1"]["asked"] == 3
    assert len({question.sampling.seed for question in engine.asked}) == 6


def test_one_caption_that_fails_fails_the_item_when_all_have_ended():
    engine = Scripted(lambda question: say("no" if question.asker.number == 1 else GOOD))
    found = run(engine, plan(captions=3, retries=0), 2)
    assert [str(outcome) for outcome in found.values()] == [
        "asked once, and the last answer has 1 word; at least 5 are wanted: 'no'"
    ] * 2


def test_a_hint_stands_in_the_first_prompt_only():
    engine = Scripted(lambda question: say(GOOD))
    list(
        ask(
            engine, iter([Loaded({"key": "k"}, None)]),
            lambda one: Interview(plan(prompts=("a", "b")), one.item, None, "Measured: warm."), "text",
        )
    )  # fmt: skip
    assert [question.messages[-1].text for question in engine.asked] == ["a\n\nMeasured: warm.", "b"]


def test_the_same_seed_and_key_give_the_same_question_seeds():
    seeds = []
    for _ in range(2):
        engine = Scripted(lambda question: say(GOOD))
        run(engine, plan(seed=7))
        seeds.append({question.key: question.sampling.seed for question in engine.asked})
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0].values())) == 6


def test_a_photograph_that_is_still_decoded_is_not_waited_for_while_an_answer_is_in_flight():
    answered = []

    class Slow:
        """The second photograph is ready only when the first has been answered."""

        def __init__(self):
            self.left = ["k0", "k1"]

        def __iter__(self):
            return self

        def ready(self):
            return len(self.left) == 2 or bool(answered)

        def __next__(self):
            if not self.left:
                raise StopIteration
            assert self.ready(), "the engine was kept waiting"
            return Loaded({"key": self.left.pop(0)}, None)

    def script(question):
        answered.append(question.key)
        return say(GOOD)

    found = list(ask(Scripted(script), Slow(), lambda one: Interview(plan(), one.item, None), "text"))
    assert [item["key"] for item, _ in found] == ["k0", "k1"]


@pytest.mark.parametrize(
    ("temperature", "expected"),
    [(0.1, [0.1, 0.4, 0.7, 1.0]), (0.9, [0.9, 0.6, 0.3, 0.0]), (0.0, [0.0, 0.3, 0.6, 0.9]), (None, [None] * 4)],
)
def test_each_attempt_has_a_temperature_of_its_own(temperature, expected):
    assert [temperature_of(temperature, attempt) for attempt in range(4)] == expected


def test_a_structured_answer_is_composed_and_its_fields_are_kept():
    import json

    fields = {
        "direction": "left", "quality": "soft", "source": "window light", "colour": "warm", "place": "kitchen", "mood": "calm",
    }  # fmt: skip
    texts = iter(["not JSON", json.dumps(fields)])
    found = run(Scripted(lambda question: say(next(texts))), plan(schema={"type": "object"}), 1)
    assert found["k0"]["text"] == "soft warm window light from the left, kitchen, calm mood"
    assert found["k0"]["structured"] == fields
    assert found["k0"]["asked"] == 2


def test_what_was_let_go_of_is_nobodys_failure_once_the_worker_is_to_stop():
    """Its item stays open, and the engine was told to hurry."""

    class Ending(list):
        def __iter__(self):
            return self

        def __next__(self):
            if not self:
                raise StopIteration
            return self.pop(0)

        def is_stopping(self):
            return not self

    class Hurried(Scripted):
        is_hurried = False

        def hurry(self):
            self.is_hurried = True

        def answers(self, seconds):
            found = super().answers(seconds)
            return [(question, Abandoned("no more") if question.key == "b" else answer) for question, answer in found]

    engine, asked = Hurried(lambda question: say(GOOD)), plan()
    loaded = Ending(Loaded({"key": key}, None) for key in "abc")
    found = ask(engine, loaded, lambda one: Interview(asked, one.item, one.data), "keywords")
    assert sorted(item["key"] for item, _ in found) == ["a", "c"]
    assert engine.is_hurried
