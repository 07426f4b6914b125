"""Only the formats that are meant are opened; what else lies there is called what it is."""

import io

import numpy as np
import pytest

from shared.decoding.decode import decode
from shared.decoding.formats import PLUGINS, NotOpened, format_of
from shared.errors import ImageError
from shared.images import open_image
from tests import awkward_images as awkward

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n0.5 setgray 0 0 40 30 rectfill showpage\n%%EOF\n"


def saved(kind: str, **options) -> bytes:
    stream = io.BytesIO()
    awkward.photograph().save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("name", PLUGINS)
def test_each_format_is_opened(name):
    if name == "HEIC":
        __import__("pillow_heif").register_heif_opener()
    if name == "JPEG XL":
        pytest.importorskip("pillow_jxl")
    data = saved(PLUGINS[name])
    assert format_of(data) == name
    assert np.abs(np.asarray(decode(data).image, int) - np.asarray(awkward.photograph())).mean() < 8


def test_an_eps_under_another_name_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("Ghostscript was run"))
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("Ghostscript was run"))
    path = tmp_path / "photo.jpg"
    path.write_bytes(EPS)
    with pytest.raises(
        ImageError, match=r"photo\.jpg is an EPS or PostScript file, which is not opened; JPEG, PNG.*JPEG XL are"
    ):
        open_image(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n",
            "is a Git LFS pointer, .*git lfs pull",
        ),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns=", "is an SVG drawing"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"%PDF-1.7", "is a PDF file"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "is a video"),
        (b"II*\0\x10\0\0\0CR\x02\0", "is a camera's raw file"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0", "is a camera's raw file"),
        (b"no picture at all", "is not an image that can be read"),
        (b"\xff\xd8\xff\xe0", "is damaged"),
        (b"\x89PNG\r\n\x1a\n", "is damaged"),
        (b"RIFF\0\0\0\0WEBP", "is damaged"),
        (b"GIF89a", "is damaged"),
        (b"II*\0", "is damaged"),
    ],
)
def test_what_it_is_instead_is_said(data, words):
    with pytest.raises(NotOpened, match=words):
        decode(data)


@pytest.mark.parametrize("name", [name for name in PLUGINS if name not in ("HEIC", "JPEG XL")])
def test_whatever_a_decoder_raises_is_one_error_that_names_the_file(name, tmp_path):
    """Bytes anywhere are changed: the picture is opened, or it is damaged, and nothing else happens."""
    data, random, path = saved(PLUGINS[name]), np.random.default_rng(1), tmp_path / "photo"
    sentences = []
    for _ in range(150):
        copy = bytearray(data)
        for place in random.integers(0, len(copy), 8):
            copy[place] = random.integers(256)
        path.write_bytes(copy[: random.integers(1, len(copy) + 1)] if random.random() < 0.3 else copy)
        try:
            assert open_image(path).mode == "RGB"
        except ImageError as error:
            sentences.append(str(error))
    assert len(sentences) > 5
    assert all(sentence.startswith(f"{path} ") and "\n" not in sentence for sentence in sentences)
