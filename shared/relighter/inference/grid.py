"""A picture of pictures: a photograph beside what a model made of it, with the instructions below."""

import textwrap
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

LARGEST_CELL = 640  # pixels of a picture's longer side
GAP, TEXT_HEIGHT = 12, 18  # pixels
GRID_PAPER, GRID_INK = "white", (30, 34, 38)


def grid(photograph: Image.Image, variants: Mapping[str, Sequence[Image.Image]]) -> Image.Image:
    """A column of images for each instruction, the photograph to the left of them; all have the photograph's size."""
    size = fitted(photograph).size
    font = ImageFont.load_default(TEXT_HEIGHT)
    letters = max(8, int(size[0] / (0.55 * TEXT_HEIGHT)))
    captions = {text: textwrap.wrap(text, letters) or [""] for text in variants}
    lines = max(map(len, captions.values()))
    rows = max(map(len, variants.values()))
    width = GAP + (1 + len(variants)) * (size[0] + GAP)
    height = GAP + rows * (size[1] + GAP) + lines * (TEXT_HEIGHT + 4) + GAP
    sheet = Image.new("RGB", (width, height), GRID_PAPER)
    sheet.paste(fitted(photograph), (GAP, GAP))
    draw = ImageDraw.Draw(sheet)
    for column, (text, images) in enumerate(variants.items(), start=1):
        left = GAP + column * (size[0] + GAP)
        for row, image in enumerate(images):
            sheet.paste(fitted(image), (left, GAP + row * (size[1] + GAP)))
        draw.multiline_text((left, GAP + rows * (size[1] + GAP)), "\n".join(captions[text]), GRID_INK, font)
    return sheet


def fitted(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((LARGEST_CELL, LARGEST_CELL), Image.Resampling.LANCZOS)
    return small
