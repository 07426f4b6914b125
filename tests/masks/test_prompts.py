"""Where SAM 2 is told to look: files of prompts, and faces."""

import json

import pytest
from skimage import data

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")
pytest.importorskip("transformers")
from shared.errors import ConfigError  # noqa: E402
from shared.masks.folder import find_mask  # noqa: E402
from shared.masks.prompts import Prompt, prompts_of_faces, read_prompts  # noqa: E402

# sam2 1.1 calls what torch 2.13 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


def test_prompts_are_read_from_json_lines(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [
        {"key": "a", "boxes": [[1, 2, 30, 40], [5, 6, 7, 8]]},
        {"key": "b/ü.jpg", "points": [[1, 2], [3, 4.5]], "labels": [1, 0]},
        {"key": "a", "boxes": [[0, 0, 9, 9]], "points": [[3, 3]]},
    ]
    path.write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    assert read_prompts(path) == {
        "a": [Prompt((1, 2, 30, 40)), Prompt((5, 6, 7, 8)), Prompt((0, 0, 9, 9), ((3, 3),), (1,))],
        "b/ü.jpg": [Prompt(None, ((1, 2), (3, 4.5)), (1, 0))],
    }


def test_prompts_are_read_from_csv_boxes_a_row_each_and_points_together(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text('key,x0,y0,x1,y1,x,y,label\n"a,b",1,2,30,40,,,\nc,,,,,5,6,\nc,,,,,7,8,0\n"a,b",3,3,9,9,,,\n')
    assert read_prompts(path) == {
        "a,b": [Prompt((1, 2, 30, 40)), Prompt((3, 3, 9, 9))],
        "c": [Prompt(None, ((5, 6), (7, 8)), (1, 0))],
    }


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("p.jsonl", '{"key": "a", "boxes": [[1, 2, 3, 4]]}\n{"key": "b"}', "line 2 is no prompt: it has neither"),
        ("p.jsonl", '{"key": "a", "boxes": [[5, 2, 3, 4]]}', "left < right"),
        ("p.jsonl", '{"key": "a", "boxes": [[1, 2, 3]]}', "line 1 is no prompt"),
        ("p.jsonl", '{"key": "a", "points": [[1, 2]], "labels": [2]}', "a 1 or a 0 for each of the 1 points"),
        ("p.jsonl", '{"key": "a", "points": [[1, NaN]]}', "is no place in a photograph"),
        ("p.jsonl", '{"key": "a", "points": [[1, 2]], "boxes": [[1, 2, 3, 4], [1, 2, 3, 4]]}', "several boxes"),
        ("p.jsonl", '{"boxes": [[1, 2, 3, 4]]}', "line 1 has no key"),
        ("p.jsonl", "[1, 2]", "line 1 is no prompt"),
        ("p.jsonl", "{", "line 1 is no prompt"),
        ("p.jsonl", "", "is empty"),
        ("p.csv", "key,x0,y0,x1,y1\na,1,2,x,4\n", "line 2 is no prompt: could not convert"),
        ("p.csv", "key,left,top\na,1,2\n", "it should have x0, y0, x1, y1 or x, y"),
        ("p.csv", "key,x,y,label\na,1,2,-1\n", "line 2 is no prompt: labels are"),
        ("p.tsv", "key,x,y\n,1,2\n", "line 2 is no prompt"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_prompt_is_named(tmp_path, name, text, sentence):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        read_prompts(path)


def test_a_prompt_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"prompt_file .*no.jsonl cannot be read"):
        read_prompts(tmp_path / "no.jsonl")


@pytest.mark.slow
def test_a_face_becomes_a_box_around_the_person_with_a_point_on_the_face():
    [prompt] = prompts_of_faces(data.astronaut())
    left, top, right, bottom = prompt.box
    [(x, y)] = prompt.points
    assert 190 < x < 260
    assert 80 < y < 160
    assert left < 90
    assert top < 60
    assert right > 360
    assert bottom == 512
    prompt.check(512, 512)
    assert prompts_of_faces(data.coffee()) == []


def test_a_mask_lies_beside_no_other_folder(tmp_path):
    with pytest.raises(ValueError, match="leaves the folder of masks"):
        find_mask(tmp_path / "masks", "../../etc/passwd")
