"""Every gate of a triplet closes when what it guards is broken, and stays open for what the degrade step makes."""

import re
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
from PIL import Image

from shared.light.degradation import photograph as develop
from shared.light.degradation.gates import Quality
from shared.run.config import checked
from shared.worker import Loaded
from tests.workers.filtering import SAMPLES
from workers.degrade import Degrade

PHOTOGRAPH = np.asarray(Image.open(SAMPLES / "coffee.jpg").convert("RGB").resize((300, 200)))
MASK = np.zeros((200, 300), np.uint8)
MASK[40:160, 60:240] = 255
DARKER = (PHOTOGRAPH * 0.6).astype(np.uint8)


@pytest.mark.parametrize("mask", [None, MASK])
def test_a_darker_copy_passes(mask):
    Quality().check(PHOTOGRAPH, DARKER, mask)


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (PHOTOGRAPH[:, :-1], "the degraded image is 299 x 200 pixels; its photograph is 300 x 200"),
        (PHOTOGRAPH, "the degraded image hardly differs: PSNR 100.0 dB, at most 38 is kept"),
        (np.maximum(PHOTOGRAPH, 1) - 1, "the degraded image hardly differs: PSNR 4"),
        (255 - PHOTOGRAPH, "the degraded image is destroyed: PSNR "),
        (np.full_like(PHOTOGRAPH, 100), "the degraded image is a smear: 0% of the contours are left, at least 25%"),
        (cv2.GaussianBlur(PHOTOGRAPH, (0, 0), 20), "the degraded image is a smear: "),
        (np.where(np.indices(MASK.shape)[0][..., None] % 2, DARKER, 0), "of its pixels to black or white; at most 25%"),
    ],
    ids=["another size", "the same", "a grey value less", "inverted", "one grey", "blurred", "every other line black"],
)
def test_what_is_broken_is_refused_with_a_sentence(broken, sentence, mask):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Quality().check(PHOTOGRAPH, broken.astype(np.uint8), mask)


def test_the_background_does_not_count_for_the_subject():
    unchanged = np.where(MASK[..., None] == 0, DARKER, PHOTOGRAPH)
    with pytest.raises(ValueError, match="hardly differs"):
        Quality().check(PHOTOGRAPH, unchanged, MASK)


def test_a_photograph_without_detail_has_none_to_lose():
    plain = np.full((64, 64, 3), 120, np.uint8)
    Quality().check(plain, plain - 40, None)


def test_one_bit_of_the_background_is_noticed():
    output = np.where(MASK[..., None] == 0, PHOTOGRAPH, DARKER)
    Quality.check_background(PHOTOGRAPH, output, MASK)
    output[199, 299, 2] ^= 1
    with pytest.raises(ValueError, match=r"^1 pixels outside the mask are not those of the background$"):
        Quality.check_background(PHOTOGRAPH, output, MASK)


@pytest.mark.parametrize(("share", "is_sane"), [(0.004, False), (0.006, True), (0.97, True), (0.99, False)])
def test_a_mask_has_a_sane_size(share, is_sane):
    mask = np.zeros((100, 100), np.uint8)
    mask.ravel()[: round(share * mask.size)] = 255
    sentence = f"the mask takes {share:.1%} of the image; it should be 0.5% to 98.0%"
    with nullcontext() if is_sane else pytest.raises(ValueError, match=re.escape(sentence)):
        Quality().check_mask(mask)


# The degrade step goes through every gate


def degrade(tmp_path, **options) -> dict:
    (tmp_path / "masks").mkdir(exist_ok=True)
    Image.fromarray(PHOTOGRAPH).save(tmp_path / "a.png")
    Image.fromarray(MASK).save(tmp_path / "masks" / "a.png")
    worker = checked(Degrade, {"mask": "user", "mask_folder": tmp_path / "masks", **options}, "step 2 (degrade)")
    worker.check("step 2 (degrade)")
    worker.fill_in("step 2 (degrade)")
    worker.setup()
    item = {"key": "a.png", "image_path": str(tmp_path / "a.png")}
    return worker.process([Loaded(item, worker.load(item))])[0]


def test_what_the_step_makes_passes(tmp_path):
    assert degrade(tmp_path)["output_image_path"].image.shape == PHOTOGRAPH.shape


BREAKS = {
    "a halo over the edge": (
        develop,
        "composite",
        lambda front, back, mask: np.where(cv2.dilate(mask, np.ones((3, 3)))[..., None] > 0, front, back),
        "[0-9]+ pixels outside the mask are not those of the background",
    ),
    "another size": (
        develop.Relit,
        "whole",
        lambda self: self.photograph.pixels[:-1],
        "could not be broadcast|is 300 x 199 pixels",
    ),
    "nothing relit": (develop.Relit, "whole", lambda self: self.photograph.pixels, "hardly differs"),
    "a grey smear": (develop.Relit, "whole", lambda self: np.full_like(self.photograph.pixels, 90), "is a smear"),
    "black": (develop.Relit, "whole", lambda self: np.zeros_like(self.photograph.pixels), "is a smear|destroyed|lost"),
}


@pytest.mark.parametrize(("owner", "name", "broken", "sentence"), BREAKS.values(), ids=BREAKS)
def test_a_step_that_breaks_fails_its_item(tmp_path, monkeypatch, owner, name, broken, sentence):
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(ValueError, match=sentence):
        degrade(tmp_path)


def test_the_whole_image_must_have_the_size_of_its_photograph(tmp_path, monkeypatch):
    monkeypatch.setattr(develop.Relit, "whole", lambda self: self.photograph.pixels[:-1])
    with pytest.raises(ValueError, match="the degraded image is 300 x 199 pixels; its photograph is 300 x 200"):
        degrade(tmp_path, background="whole")
