"""What is odd about a model's captions, each oddity with pictures: repeated openings, one caption for several photographs,
refusals, forbidden words, other languages."""

import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shared.captions.answers import REFUSAL, START
from shared.captions.asking_options import LintOptions
from shared.files.table import Table
from shared.reporting.histograms import Spread, spread
from shared.reporting.rejects import EXAMPLES, Reason, Reject
from shared.run.run import Run, Step
from shared.seeding import name_hash

OPENING_WORDS = 4  # of a caption, by which it is told how it begins
OFTEN = 0.02  # of all captions; an opening of so many is repeated
LEAST_OFTEN = 3
MOST_OF_A_KIND = 5  # openings, and captions of several photographs, that are shown
CLASSIFIED = 5000  # captions whose language is told; of more, an even choice
SHORTEST_TOLD = 20  # letters: of less no language can be told


@dataclass
class Lint:
    """The captions of one step."""

    step: Step
    total: int
    lengths: Spread | None  # in words
    oddities: list[Reason]
    classified: int  # of so many the language was told; 0: of none


def lints_of(run: Run) -> list[Lint]:
    """Of the steps that ask a model for text and have a result."""
    steps = [step for step in run.steps if getattr(step.worker, "is_linted", False) and step.result_path.exists()]
    return [lint(step, step.worker.text_key, step.worker.lint) for step in steps]


def lint(step: Step, text_key: str, options: LintOptions) -> Lint:
    table = Table(step.result_path)
    captions = Captions(table, text_key, options)
    oddities = [
        *captions.seen("are refusals", captions.refusals),
        *(one for word, places in captions.forbidden.items() for one in captions.seen(f"say “{word}”", places)),
        *captions.seen(f"do not begin with “{options.opening}”", captions.without_opening),
        *captions.doubled(),
        *captions.openings(),
        *captions.languages(),
    ]
    return Lint(step, len(captions.lengths), spread(captions.lengths), oddities, captions.classified)


class Captions:
    """One pass over the rows; 24 bytes a row, and the places of what is odd."""

    def __init__(self, table: Table, text_key: str, options: LintOptions):
        self.table, self.text_key, self.options = table, text_key, options
        self.lengths, self.whole, self.beginnings = array("d"), array("Q"), array("Q")
        self.rows = array("Q")  # those that have a caption
        self.refusals, self.without_opening = array("Q"), array("Q")
        self.forbidden = {word: array("Q") for word in options.forbidden_words}
        self.patterns = {word: re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE) for word in options.forbidden_words}
        self.refusal = re.compile(START + REFUSAL.pattern, re.IGNORECASE)
        self.classified = 0
        for place, row in enumerate(table):
            text = row.get(text_key)
            if isinstance(text, str) and text:
                self._look_at(place, text)

    def _look_at(self, place: int, text: str) -> None:
        said = re.findall(r"\w+", text.lower())
        self.rows.append(place)
        self.lengths.append(len(said))
        self.whole.append(name_hash(" ".join(said)))
        self.beginnings.append(name_hash(" ".join(said[:OPENING_WORDS])))
        if self.refusal.match(text):
            self.refusals.append(place)
        if self.options.opening and not text.startswith(self.options.opening):
            self.without_opening.append(place)
        for word, pattern in self.patterns.items():
            if pattern.search(text):
                self.forbidden[word].append(place)

    def seen(self, words_of_it: str, places: Sequence[int]) -> Iterator[Reason]:
        """The oddity that so many captions have; nothing where none has it."""
        if len(places):
            chosen = [places[int(one)] for one in np.linspace(0, len(places) - 1, min(EXAMPLES, len(places)))]
            yield Reason(words_of_it, len(places), [self._shown(int(place)) for place in chosen])

    def doubled(self) -> Iterator[Reason]:
        """The captions that several photographs have, most first."""
        for places in self._most(self.whole, 2):
            yield from self.seen(f"are one and the same: “{short(self._text(places[0]))}”", places)

    def openings(self) -> Iterator[Reason]:
        """The first words that many begin with, but those that are asked for."""
        for places in self._most(self.beginnings, max(LEAST_OFTEN, int(OFTEN * len(self.rows)))):
            begun = " ".join(self._text(places[0]).split()[:OPENING_WORDS])
            is_asked_for = self.options.opening and begun.lower().startswith(self.options.opening.lower())
            if not is_asked_for and len(set(np.asarray(self.whole)[np.searchsorted(self.rows, places)])) > 1:
                yield from self.seen(f"begin with “{begun}”", places)

    def languages(self) -> Iterator[Reason]:
        """Of an even choice of captions: those in another language than is asked for, or than most have."""
        from py3langid import classify

        chosen = [self.rows[int(one)] for one in np.linspace(0, len(self.rows) - 1, min(CLASSIFIED, len(self.rows)))]
        told: dict[str, list[int]] = {}
        for place in chosen:
            text = self._text(place)
            if len(text) >= SHORTEST_TOLD:
                told.setdefault(str(classify(text)[0]), []).append(place)
        self.classified = sum(map(len, told.values()))
        usual = self.options.language or max(told, key=lambda language: len(told[language]), default="")
        for language, places in sorted(told.items(), key=lambda one: -len(one[1])):
            if language != usual:
                yield from self.seen(f"seem to be in another language ({language}, not {usual})", places)

    def _most(self, hashes: Iterable[int], least: int) -> Iterator[Sequence[int]]:
        """The rows that share a hash, the largest groups of at least so many."""
        _, place_of, counts = np.unique(np.asarray(hashes), return_inverse=True, return_counts=True)
        largest = np.argsort(-counts, kind="stable")[:MOST_OF_A_KIND]
        for group in largest:
            if counts[group] >= max(2, least):
                yield np.asarray(self.rows)[np.flatnonzero(place_of == group)].tolist()

    def _text(self, place: int) -> str:
        return self.table[int(place)][self.text_key]

    def _shown(self, place: int) -> Reject:
        row = self.table[place]
        return Reject(row, short(row[self.text_key], 160))


def short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
