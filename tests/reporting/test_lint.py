import numpy as np
import pytest
from PIL import Image

from shared.captions.asking_options import LintOptions
from shared.files.table import Table
from shared.reporting.lint import lint

PLAIN = (
    "A {} barn stands beside tall trees under a grey sky, painted in thick oil.",
    "Two {} dogs run over wet sand, and the low sun draws long shadows.",
    "On a wooden table lie {} apples, lit from the left by a small window.",
    "Behind {} houses a hill rises, with fog in the valley and snow on its top.",
)
COLOURS = ("red", "blue", "white", "brown", "old", "new", "small", "large")


class FakeStep:
    """What lint() asks of a step."""

    label = "step 1 (caption)"

    def __init__(self, folder):
        self.result_path = folder / "result.jsonl"


@pytest.fixture
def found(tmp_path):
    def look(captions, **options):
        step = FakeStep(tmp_path)
        rows = []
        for number, text in enumerate(captions):
            path = tmp_path / f"{number}.png"
            if not path.exists():
                Image.fromarray(np.full((8, 8, 3), number % 256, np.uint8)).save(path)
            rows.append({"key": f"k{number}", "image_path": str(path), "caption": text})
        Table.write(step.result_path, rows, tmp_path)
        return lint(step, "caption", LintOptions(**options))

    return look


def plain(count: int) -> list[str]:
    return [PLAIN[number % 4].format(f"{COLOURS[number % 8]} {number}") for number in range(count)]


def messages(made) -> dict[str, int]:
    return {oddity.message: oddity.count for oddity in made.oddities}


def test_of_captions_as_they_should_be_nothing_is_odd(found):
    made = found([f"{word} {text}" for word, text in zip(map(str, range(60)), plain(60), strict=True)])
    assert (made.total, messages(made), made.classified) == (60, {}, 60)
    assert made.lengths.median == pytest.approx(15, abs=2)


def test_refusals_forbidden_words_and_another_opening_are_shown_with_their_pictures(found):
    captions = plain(20)
    captions[3] = "I'm sorry, but I can't describe this image, which shows people."
    captions[5] = "Perhaps a barn, perhaps a house; it seems to rain on both of them."
    made = found(captions, forbidden_words=["perhaps", "seems"], opening="A ")
    told = messages(made)
    assert (told["are refusals"], told["say “perhaps”"], told["say “seems”"]) == (1, 1, 1)
    assert told["do not begin with “A ”"] == 15
    refusal = made.oddities[0].rejects[0]
    assert refusal.row["key"] == "k3" and refusal.row["image_path"].endswith("3.png") and "sorry" in refusal.said


def test_a_caption_of_several_photographs_is_shown_once_whatever_its_case_and_points(found):
    captions = [f"{number} {text}" for number, text in enumerate(plain(30))]
    captions[4] = captions[9] = "An empty street at night, wet from the rain."
    captions[20] = "An empty street at night, wet from the rain!"
    told = messages(found(captions))
    assert told == {"are one and the same: “An empty street at night, wet from the rain.”": 3}


def test_openings_that_many_have_are_told_but_not_the_one_that_is_asked_for(found):
    captions = [
        f"The image shows a thing called {number}{chr(97 + number % 26)}, in {text}"
        for number, text in enumerate(plain(40))
    ]
    assert messages(found(captions)) == {"begin with “The image shows a”": 40}
    assert messages(found(captions, opening="The image shows")) == {}


def test_another_language_is_told(found):
    captions = [f"{number} {text}" for number, text in enumerate(plain(30))]
    captions[7] = "Das Bild zeigt eine alte Scheune, die neben hohen Birken im Abendlicht steht."
    told = messages(found(captions, language="en"))
    assert told == {"seem to be in another language (de, not en)": 1}
    assert messages(found(captions)) == told  # most are in English


def test_rows_without_a_caption_count_for_nothing(found):
    made = found([None, "", 3])
    assert (made.total, made.lengths, made.oddities) == (0, None, [])
