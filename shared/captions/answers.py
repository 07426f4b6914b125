"""Whether a model's answer is what was asked for: not empty, cut, a refusal, a preamble, a repetition, too short or long."""

import re
from typing import NamedTuple

from shared.captions.engines.engine import Answer

PHRASE_WORDS = 30  # an answer that may have no more is a phrase: one line, without a full stop
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "`": "`"}
START = r"^[\s\"'“‘*]*"

REFUSAL = re.compile(
    r"\b(i['’]?m (really |very )?sorry|i am sorry|sorry, (but|i)|i['’]?m (unable|not able) to|i am (unable|not able) to"
    r"|i (cannot|can['’]?t|can not|won['’]?t) (help|assist|describe|provide|see|view|identify|comply|process|access|analy[sz]e)"
    r"|as an ai\b|i (do not|don['’]?t) (see|have) (an|any|the) image|no image (was|is|has been) (provided|attached))",
    re.IGNORECASE,
)
PREAMBLE = re.compile(
    START + r"(sure|certainly|of course|absolutely|okay|ok|great)\b\s*[,!.:]"
    r"|" + START + r"here(['’]s| is| are)\b"
    r"|"
    + START
    + r"(the )?((edit|lighting|short|final) )*(keywords?|caption|description|answer|output|phrase|instruction)s?\s*:"
    r"|" + START + r"(based on|looking at|judging by) (the|this) (image|photo|photograph|picture)\b",
    re.IGNORECASE,
)
SENTENCE = re.compile(  # no preamble to a description, but not how a phrase begins
    START
    + r"(in )?(the|this) (image|photo|photograph|picture|scene|lighting)\b.*?\b(shows?|depicts?|features?|is|has|appears?)\b",
    re.IGNORECASE,
)
MARKUP = re.compile(r"\*\*|^\s*[-*•#]\s|^\s*\d+\.\s|`|</?\w+>", re.MULTILINE)


class Wanted(NamedTuple):
    """Bounds of an answer, in words; None is none."""

    min_words: int = 1
    max_words: int | None = None

    @property
    def is_phrase(self) -> bool:
        return self.max_words is not None and self.max_words <= PHRASE_WORDS


def clean(text: str, wanted: Wanted) -> str:
    """Take away what is about the answer and not of it: blanks, quotes around the whole, and a phrase's full stop."""
    text = text.strip()
    while True:
        before = text
        if len(text) > 1 and QUOTES.get(text[0]) == text[-1] and not {text[0], text[-1]} & set(text[1:-1]):
            text = text[1:-1].strip()
        if wanted.is_phrase and text.endswith(".") and not text.endswith(".."):
            text = text[:-1].rstrip()
        if text == before:
            return text


def problem(answer: Answer, wanted: Wanted) -> str:
    """What is wrong with a cleaned answer, as the end of a sentence that begins with "the answer"; empty when it passes."""
    text, reason = answer.text, answer.finish_reason
    if reason == "length":
        return f"was cut at the limit of {answer.completion_tokens} tokens"
    if reason in ("refusal", "content_filter") or REFUSAL.search(text):
        return "is a refusal"
    if not text:
        return "is empty"
    if PREAMBLE.search(text) or (wanted.is_phrase and SENTENCE.search(text)):
        return "begins with a preamble"
    if "\N{REPLACEMENT CHARACTER}" in text:
        return "has broken characters"
    if wanted.is_phrase and "\n" in text:
        return "has more than one line"
    if wanted.is_phrase and MARKUP.search(text):
        return "has markup"
    if text[0] in '"“«' or text[-1] in '"”»' or (wanted.is_phrase and re.search(r'["“”«»]', text)):
        return "has quotes"
    if repeats(text, wanted.is_phrase):
        return "repeats itself"
    return out_of_bounds(text, wanted)


def out_of_bounds(text: str, wanted: Wanted) -> str:
    count = len(words(text))
    if count < wanted.min_words:
        return f"has {count} word{'s' * (count != 1)}; at least {wanted.min_words} are wanted"
    if wanted.max_words is not None and count > wanted.max_words:
        return f"has {count} words; at most {wanted.max_words} are wanted"
    return ""


def repeats(text: str, is_phrase: bool) -> bool:
    """The same 1 to 8 words three times in a row, a part of a phrase twice, or a sentence of a text three times."""
    said = [word.lower() for word in words(text)]
    for size in range(1, 9):
        run = 0
        for position in range(size, len(said)):
            run = run + 1 if said[position] == said[position - size] else 0
            if run == 2 * size:
                return True
    parts = [part.strip().lower() for part in re.split(r"[,;]" if is_phrase else r"[.!?\n]+", text)]
    parts = [part for part in parts if part]
    return max((parts.count(part) for part in set(parts)), default=0) > (1 if is_phrase else 2)


def words(text: str) -> list[str]:
    return re.findall(r"\w[\w'’.-]*", text)
