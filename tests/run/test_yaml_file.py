"""What is no YAML is told with its line; of the commonest slip, an entry that goes on too far to the left, with the way out."""

import pytest

from shared.errors import ConfigError
from shared.run.yaml_file import read_yaml

# As the document prints it.
DOCUMENT = """- type: TextGenerator
 name: GPTTextGenerator
 config:
  model: gpt-4o
  api_key: your_api_key_here
  max_num_seqs: 512
"""


def sentence(tmp_path, text: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, ("meta_path", "steps"))
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("indent", ["", " ", "    "])
def test_an_entry_that_goes_on_too_far_to_the_left_is_told_with_the_right_indentation(tmp_path, indent):
    steps = "".join(f"{indent}{line}\n" for line in DOCUMENT.splitlines())
    wanted = " " * (len(indent) + 2)
    assert sentence(tmp_path, f"meta_path: p\nsteps:\n{steps}") == (
        f"run.yaml is not valid YAML: line 4 (name: GPTTextGenerator) begins in column {len(indent) + 2}; what belongs to the "
        f"entry in line 3 (- type: TextGenerator) is indented by {len(wanted)} spaces: '{wanted}name: GPTTextGenerator', and so "
        "are the lines below it, by 1 more than now"
    )


def test_a_key_in_that_line_is_not_printed(tmp_path):
    said = sentence(tmp_path, "steps:\n- type: text\n api_key: sk-secret\n")
    assert "sk-secret" not in said and "line 3 (api_key: ...)" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\nb: 2\n", "run.yaml line 2 is not valid YAML: "),
        ("- a\n- b\n", "run.yaml should hold keys and values; the keys are meta_path, steps"),
        ("a: 1\na: 2\n", "run.yaml line 2 is not valid YAML: the key 'a' stands twice"),
    ],
)
def test_other_slips_are_told_with_their_line(tmp_path, text, said):
    assert sentence(tmp_path, text).startswith(said)


def test_what_is_right_is_read(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("steps:\n - type: a\n   name: b\n")
    assert read_yaml(path, ()) == {"steps": [{"type": "a", "name": "b"}]}
