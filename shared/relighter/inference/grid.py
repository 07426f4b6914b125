"""A picture of pictures: a photograph beside what a model made of it, with the instructions below."""

import textwrap
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

LARGEST = 640  # pixels of a picture's longer side
GAP, TEXT = 12, 18  # pixels
PAPER, INK = "white", (30, 34, 38)


def grid(photograph: Image.Image, variants: Mapping[str, Sequence[Image.Image]]) -> Image.Image:
    """A column of images for each instruction, the photograph to the left of them; all have the photograph's size."""
    size = shown(photograph).size
    font = ImageFont.load_default(TEXT)
    letters = max(8, int(size[0] / (0.55 * TEXT)))
    captions = {text: textwrap.wrap(text, letters) or [""] for text in variants}
    lines = max(map(len, captions.values()))
    rows = max(map(len, variants.values()))
    width = GAP + (1 + len(variants)) * (size[0] + GAP)
    height = GAP + rows * (size[1] + GAP) + lines * (TEXT + 4) + GAP
    sheet = Image.new("RGB", (width, height), PAPER)
    sheet.paste(shown(photograph), (GAP, GAP))
    draw = ImageDraw.Draw(sheet)
    for column, (text, images) in enumerate(variants.items(), start=1):
        left = GAP + column * (size[0] + GAP)
        for row, image in enumerate(images):
            sheet.paste(shown(image), (left, GAP + row * (size[1] + GAP)))
        draw.multiline_text((left, GAP + rows * (size[1] + GAP)), "\n".join(captions[text]), INK, font)
    return sheet


def shown(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return small
