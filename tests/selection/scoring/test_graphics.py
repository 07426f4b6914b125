"""What is no photograph is told from one by its pixels."""

import io
import os
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from shared.images import open_image
from shared.selection.scoring.graphics import GRAPHICS, PHOTOGRAPH, PLAIN, kind_of_picture
from tests.conftest import ROOT

SAMPLES = sorted((ROOT / "configs" / "samples").glob("*.jpg"))


def font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def floor_plan(dice: random.Random, is_coloured: bool) -> Image.Image:
    plan = Image.new("RGB", (1500, 1100), "white")
    pen = ImageDraw.Draw(plan)
    columns, rows = sorted(dice.sample(range(80, 1420, 70), 6)), sorted(dice.sample(range(80, 1020, 70), 5))
    for left, right in pairwise(columns):
        for top, bottom in pairwise(rows):
            fill = tuple(dice.randrange(180, 256) for _ in range(3)) if is_coloured else None
            pen.rectangle((left, top, right, bottom), fill, "black", dice.choice((4, 8, 12)))
            pen.text((left + 12, top + 12), dice.choice(["Bath", "Kitchen", "Hall 3.2 m"]), "black", font(24))
            pen.arc((left + 20, top + 20, left + 90, top + 90), 0, 90, "black", 3)
            for line in range(top, bottom, 12) if dice.random() < 0.3 else ():
                pen.line((left, line, right, line), (150, 150, 150))
    return plan


def page(dice: random.Random, size: tuple[int, int], points: int, ground="white", ink="black") -> Image.Image:
    sheet = Image.new("RGB", size, ground)
    pen = ImageDraw.Draw(sheet)
    for top in range(70, size[1] - 90, int(points * 1.4)):
        letters = "".join(dice.choice("abcdefghijklmnopqrstuvwxyz   ") for _ in range(int(size[0] / points * 1.4)))
        pen.text((70, top), letters, ink, font(points))
    return sheet


def screenshot(dice: random.Random) -> Image.Image:
    screen = page(dice, (1920, 1080), 18, (245, 245, 247))
    pen = ImageDraw.Draw(screen)
    pen.rectangle((0, 0, 1920, 50), (60, 80, 140))
    pen.rectangle((1500, 50, 1920, 1080), (225, 226, 230))
    for top in range(100, 900, 110):
        pen.rounded_rectangle((1540, top, 1880, top + 80), 12, tuple(dice.randrange(60, 255) for _ in range(3)))
    return screen


def drawing(dice: random.Random) -> Image.Image:
    sheet = Image.new("RGB", (2400, 1800), "white")
    pen = ImageDraw.Draw(sheet)
    for _ in range(50):
        points = [(dice.randrange(2400), dice.randrange(1800))]
        for _ in range(40):
            points.append(tuple(place + dice.randint(-60, 60) for place in points[-1]))
        if dice.random() < 0.2:
            pen.polygon(points, tuple(dice.randrange(256) for _ in range(3)))
        pen.line(points, (dice.randrange(90),) * 3, dice.choice((3, 5, 8)))
    return sheet.resize((1200, 900), Image.Resampling.LANCZOS)


MADE = {
    "floor plan": lambda dice: floor_plan(dice, False),
    "coloured plan": lambda dice: floor_plan(dice, True),
    "text page": lambda dice: page(dice, (1240, 1754), 24),
    "large page": lambda dice: page(dice, (2480, 3508), 40),
    "screenshot": screenshot,
    "drawing": drawing,
}


def stored(image: Image.Image, form: str) -> Path | io.BytesIO:
    file = io.BytesIO()
    image.save(file, form.split()[0], **({"quality": int(form.split()[1])} if " " in form else {}))
    return file


def seen(image: Image.Image, form: str, folder: Path) -> np.ndarray:
    """As the filter opens it."""
    path = folder / "picture"
    path.write_bytes(stored(image, form).getvalue())
    return np.asarray(open_image({"key": "picture", "image_path": str(path)}, longest_side=512))


@pytest.mark.parametrize("form", ["PNG", "JPEG 75", "JPEG 40", "WEBP 80"])
@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("seed", [11, pytest.param(12, marks=pytest.mark.slow)])
def test_what_was_drawn_or_written_is_graphics(tmp_path, seed, kind, form):
    assert kind_of_picture(seen(MADE[kind](random.Random(seed)), form, tmp_path)) == GRAPHICS


@pytest.mark.parametrize("colour", ["white", "black", (128, 120, 90)])
def test_one_colour_is_plain_also_with_noise(tmp_path, colour):
    sheet = Image.new("RGB", (800, 600), colour)
    noise = np.random.default_rng(5).normal(0, 2, (600, 800, 3))
    noisy = Image.fromarray(np.clip(np.asarray(sheet) + noise, 0, 255).astype(np.uint8))
    assert [kind_of_picture(seen(image, "JPEG 80", tmp_path)) for image in (sheet, noisy)] == [PLAIN] * 2


@pytest.mark.parametrize(
    "quality", [pytest.param(95, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.slow), 30]
)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_photograph_is_one_however_it_was_compressed(tmp_path, path, quality):
    with Image.open(path) as image:
        assert kind_of_picture(seen(image.convert("RGB"), f"JPEG {quality}", tmp_path)) == PHOTOGRAPH


@pytest.mark.parametrize("ground", ["white", "black"])
@pytest.mark.parametrize("name", ["coffee", "fig", "dogs", "astronaut"])
def test_a_subject_cut_out_on_an_even_ground_is_a_photograph(tmp_path, name, ground):
    with Image.open(ROOT / "configs" / "samples" / f"{name}.jpg") as image:
        subject = image.convert("RGB")
    subject.thumbnail((600, 600))
    mask = Image.new("L", subject.size)
    ImageDraw.Draw(mask).ellipse((0, 0, subject.width - 1, subject.height - 1), fill=255)
    sheet = Image.new("RGB", (1000, 1000), ground)
    sheet.paste(subject, (200, 200), mask.filter(ImageFilter.GaussianBlur(1)))
    assert kind_of_picture(seen(sheet, "JPEG 88", tmp_path)) == PHOTOGRAPH
