"""max_model_len has to hold the longest question: the prompts, the images of whatever shape, and every answer."""

import pytest

from shared.captions.engines.engine import Question
from shared.captions.engines.room_for_prompts import LongestTalk
from shared.run.config import checked
from workers.caption import Caption
from workers.text import TextGenerator


def count(question: Question) -> int:
    """A model that takes a token for each letter, and for each 1000 pixels of an image that is wide twice as many."""
    words = sum(len(message.text) for message in question.messages)
    return words + sum(
        image.width * image.height // 1000 * (2 if image.width > 2 * image.height else 1) for image in question.images
    )


def test_prompt_image_and_answer_have_room_with_some_to_spare():
    talk = LongestTalk("be brief", ("What light?",), 100, 1, 100_000)
    assert talk.tokens(count) == pytest.approx(8 + 11 + 2 * 100 + 100 + 64, abs=20)
    assert talk.tokens(count) % 16 == 0


def test_a_conversation_has_room_for_all_its_answers_and_a_text_needs_no_image():
    talk = LongestTalk("", ("What room?", "What light?"), 50)
    assert [message.role for message in talk.questions()[0].messages] == ["user", "assistant", "user"]
    assert talk.tokens(count) == 192  # 10 + 1 + 11, twice 50, and 64, in whole blocks of 16


def test_it_is_that_of_a_step():
    caption = checked(
        Caption, {"engine": "vllm", "model_path": "m", "prompt": "What light?", "max_pixels": 9}, "step 1"
    )
    assert LongestTalk.of(caption) == LongestTalk("", ("What light?",), 100, 1, 9)
    text = checked(
        TextGenerator, {"model_path": "m", "prompt": "Sum up", "system_prompt": "s", "max_tokens": 7}, "step 1"
    )
    assert LongestTalk.of(text) == LongestTalk("s", ("Sum up",), 7, 0, 0)
