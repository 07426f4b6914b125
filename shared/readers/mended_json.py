"""JSON as Python's json module writes it, with NaN and halves of characters, made readable for parsers of JSON proper."""

import re
from typing import IO

# A string, or one that goes on behind the block; or one of the words, which mean something outside of strings only.
_STRING_OR_WORD = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|-?\b(?:NaN|Infinity)\b', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# A word, an escape or the first half of a pair of them, which the next block may end.
_UNFINISHED = re.compile(
    rb"(?:(?<![0-9A-Za-z\\])-?[A-Za-z]{0,8}"
    rb"|\\+(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)?)?)\Z"
)
_LONGEST = 24  # bytes of such, without a run of backslashes before it


class MendedJson:
    """A binary file whose read() has null for each NaN, Infinity and -Infinity that is a value, and U+FFFD for each escaped
    half of a pair of surrogates; nothing else is changed.
    """

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._rest = b""
        self._is_in_string = False

    def read(self, size: int = -1) -> bytes:
        """Some bytes, about as many as asked for; none at the end only."""
        while True:
            block = self._file.read(size)
            if not block:
                rest, self._rest = self._rest, b""
                return self._mended(rest)
            block = self._rest + block
            end = _finished(block)
            block, self._rest = block[:end], block[end:]
            if block:
                return self._mended(block)

    def _mended(self, block: bytes) -> bytes:
        if b"\\ud" in block or b"\\uD" in block:
            block = _ESCAPE.sub(lambda match: rb"\ufffd" if match["half"] else match[0], block)
        if b"NaN" not in block and b"Infinity" not in block:
            quotes = block.replace(rb"\\", b"").replace(rb"\"", b"").count(b'"')
            self._is_in_string ^= quotes % 2 == 1
            return block
        opened = b'"' * self._is_in_string
        return _STRING_OR_WORD.sub(self._replacement, opened + block)[len(opened) :]

    def _replacement(self, match: re.Match) -> bytes:
        text = match[0]
        if text.startswith(b'"'):
            before = text[1:-1]
            is_escaped = (len(before) - len(before.rstrip(b"\\"))) % 2 == 1
            self._is_in_string = len(text) < 2 or not text.endswith(b'"') or is_escaped
            return text
        return b"null"


def _finished(block: bytes) -> int:
    """How many bytes of the block can be told without the next one."""
    match = _UNFINISHED.search(block, max(0, len(block) - _LONGEST))
    end = match.start() if match else len(block)
    return len(block[:end].rstrip(b"\\"))
