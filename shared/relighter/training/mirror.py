"""Words for a mirrored photograph: left and right change places."""

import re

_SIDES = {"left": "right", "right": "left"}
_SIDE = re.compile(
    r"(?<![A-Za-z])(left|right)(?=(?:-?(?:hand|most|ward|wards|side|sided))?(?![A-Za-z]))", re.IGNORECASE
)


def mirror_words(text: str) -> str:
    """`light from the upper left` becomes `light from the upper right`; capitals stay, `bright` and `leftover` too."""
    return _SIDE.sub(_exchange, text)


def _exchange(match: re.Match) -> str:
    word = match.group()
    other = _SIDES[word.lower()]
    return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
