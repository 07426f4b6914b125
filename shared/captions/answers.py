"""Whether a model's answer is what was asked for: not empty, cut, a refusal, a preamble, a repetition, too short or long.

What is about a description and not of it is taken away instead of asked for again: to ask costs a GPU, and the next answer
begins the same way.
"""

import re
from typing import Literal, NamedTuple

from shared.captions.engines.engine import Answer

Form = Literal["keywords", "description", "any"]

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

# What stands before a description, each of them to be taken away.
INTERJECTION = re.compile(
    START + r"(sure( thing)?|certainly|of course|absolutely|okay|ok|great( question)?)\b\s*[,!.:]+\s*", re.IGNORECASE
)
ANNOUNCEMENT = re.compile(  # up to its colon: `Here is a detailed description of the image:`, `**Caption:**`
    START
    + r"((here(['’]s| is| are)|the following is|below is|i['’]d describe|i would describe)\b[^\n:]{0,120}"
    + r"|((the|a|an|my|image|photo|detailed|short|brief|final|long|alt|possible) )*"
    + r"(caption|description|answer|output|response|alt[- ]text))\s*:\s*",
    re.IGNORECASE,
)
GLANCE = re.compile(
    START
    + r"(based on|looking at|judging by) (the|this) (provided |given )?(image|photo|photograph|picture)( provided)?,\s*",
    re.IGNORECASE,
)
OFFER = re.compile(  # what stands behind it
    r"\n+\W*(let me know|i hope (this|that)|feel free|would you like|do you want|is there anything|if you (need|want|have|would))"
    r"\b[^\n]*\s*$",
    re.IGNORECASE,
)
EMPHASIS = re.compile(
    r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1|(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])|`([^`\n]+)`", re.DOTALL
)
LINE_MARKS = re.compile(r"^[ \t]*(#{1,6}[ \t]+|[-*•+][ \t]+|>[ \t]+|(-{3,}|\*{3,}|_{3,}|```\w*)[ \t]*$)", re.MULTILINE)
TAGS = re.compile(
    r"</?(b|i|em|strong|p|br|caption|description|answer|div|span|ul|ol|li|h[1-6])\b[^>]{0,80}>", re.IGNORECASE
)


class Wanted(NamedTuple):
    """What an answer is to be: its bounds in words, None being none, and its form; "" is keywords where they are few words."""

    min_words: int = 1
    max_words: int | None = None
    form: Form | Literal[""] = ""

    @property
    def is_phrase(self) -> bool:
        return self.form == "keywords" or (
            not self.form and self.max_words is not None and self.max_words <= PHRASE_WORDS
        )

    @property
    def is_description(self) -> bool:
        return self.form != "any" and not self.is_phrase


def clean(text: str, wanted: Wanted) -> str:
    """Take away what is about the answer and not of it: blanks, quotes around the whole, and a phrase's full stop; of a
    description what stands before and behind it, and its markup."""
    text = text.strip()
    if wanted.form == "any":
        return text
    if wanted.is_description:
        text = bare(text)
    while True:
        before = text
        if len(text) > 1 and QUOTES.get(text[0]) == text[-1] and not {text[0], text[-1]} & set(text[1:-1]):
            text = text[1:-1].strip()
        if wanted.is_phrase and text.endswith(".") and not text.endswith(".."):
            text = text[:-1].rstrip()
        if text == before:
            return text


def bare(text: str) -> str:
    """A description without markup, preamble and offers of more; its headings stay, as lines of their own."""
    text = TAGS.sub("", text)
    text = EMPHASIS.sub(lambda found: next(part for part in found.groups()[1:] if part), text)
    text = LINE_MARKS.sub("", text).strip()
    while True:
        before = text
        for pattern in (INTERJECTION, ANNOUNCEMENT, GLANCE):
            rest = pattern.sub("", text, count=1)
            # What is left of a sentence begins one of its own.
            text = rest[:1].upper() + rest[1:] if rest != text and pattern is GLANCE else rest
        text = OFFER.sub("", text).rstrip()
        if text == before:
            return re.sub(r"\n{3,}", "\n\n", text)


def problem(answer: Answer, wanted: Wanted) -> str:
    """What is wrong with a cleaned answer, as the end of a sentence that begins with "the answer"; empty when it passes."""
    text, reason = answer.text, answer.finish_reason
    if reason == "length":
        return f"was cut at the limit of {answer.completion_tokens} tokens"
    if reason in ("refusal", "content_filter") or is_refusal(text, wanted):
        return "is a refusal"
    if not text:
        return "is empty"
    if wanted.form != "any":
        if "\N{REPLACEMENT CHARACTER}" in text:
            return "has broken characters"
        if wanted.is_phrase and (why := problem_of_phrase(text)):
            return why
        if repeats(text, wanted.is_phrase):
            return "repeats itself"
    return out_of_bounds(text, wanted)


def is_refusal(text: str, wanted: Wanted) -> bool:
    """A description may quote one, and speaks of what cannot be seen; it is one where it begins so."""
    if wanted.form == "any":
        return False
    return bool(REFUSAL.search(text) if wanted.is_phrase else re.match(START + REFUSAL.pattern, text, re.IGNORECASE))


def problem_of_phrase(text: str) -> str:
    if PREAMBLE.search(text) or SENTENCE.search(text):
        return "begins with a preamble"
    if "\n" in text:
        return "has more than one line"
    if MARKUP.search(text):
        return "has markup"
    return "has quotes" if re.search(r'["“”«»]', text) else ""


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
