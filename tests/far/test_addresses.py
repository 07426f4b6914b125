"""Which addresses there are, and what of them is shown."""

import pytest

from shared.far.addresses import below, is_far, scrubbed, shown_address, without_signature
from shared.far.far_path import FarPath


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/a.jpg", True), ("gs://bucket/a.jpg", True), ("hf://datasets/ann/streets/a.jpg", True),
        ("https://a.org/a.jpg", True), ("HTTP://a.org/a.jpg", True), ("s3:///a.jpg", False), ("ftp://a.org/a.jpg", False),
        ("/s3://bucket/a.jpg", False), ("a.jpg", False), ("", False), (None, False), (3, False),
    ],
)  # fmt: skip
def test_an_address_is_told_from_a_path(path, expected):
    assert is_far(path) is expected


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ann:hidden@a.org/b/c.jpg?sig=x#y", "https://a.org/b/c.jpg"),
        ("https://a.org/b@c.jpg", "https://a.org/b@c.jpg"),
        ("s3://KEY:hidden@bucket/odd?name#1.jpg", "s3://bucket/odd?name#1.jpg"),
        ("hf://datasets/ann/streets@v1/a.jpg", "hf://datasets/ann/streets@v1/a.jpg"),
    ],
)
def test_secrets_are_not_shown(address, shown):
    assert shown_address(address) == shown
    assert scrubbed(f"cannot get '{address}', sorry") == f"cannot get '{shown}', sorry"


def test_only_a_query_that_signs_is_left_out_of_a_key():
    assert without_signature("https://a.org/get?id=5&Expires=9&Signature=x") == "https://a.org/get"
    assert without_signature("https://a.org/get?id=5") == "https://a.org/get?id=5"


def test_what_lies_below_a_folder():
    assert below("s3://bucket/in/", "x/../odd %20.jpg") == "s3://bucket/in/odd %20.jpg"
    assert below("https://a.org/in", "odd %20#.jpg") == "https://a.org/in/odd%20%2520%23.jpg"


def test_an_address_answers_as_a_path():
    path = FarPath("https://a.org/in/rows.csv?sig=x")
    assert (str(path), path.name, path.suffix) == ("https://a.org/in/rows.csv", "rows.csv", ".csv")
    assert str(path.parent) == "https://a.org/in" and not path.is_dir() and path.parent.is_dir()
