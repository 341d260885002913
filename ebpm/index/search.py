"""Search: words in names, keywords, groups, hooks and summaries; a word may have typing errors.

What is searched are five columns (names, summaries, groups, keywords, hooks) with a line for each
tool, and a sixth of all words in them, so that ten thousand tools are found by the C of ``in`` and
``split`` and not by a loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ebpm.errors import InvalidIndex

NAME, SUMMARY, GROUPS, KEYWORDS, HOOKS = range(5)
# What a hit in a column is worth: a whole word of it, the beginning of one, somewhere in it.
_WORTH = {
    SUMMARY: (16, 9, 5),
    HOOKS: (14, 10, 8),
    GROUPS: (25, 12, 6),
    KEYWORDS: (30, 20, 10),
    NAME: (100, 60, 40),
}
_TYPO = 0.5  # of the worth of what was meant
_SHORT = 4  # letters below which a word is taken as it is
BETWEEN = "\f"
_PARTS = len(_WORTH) + 1
_WORD = re.compile(r"[^\W_]{2,}")


def write_text(rows: Iterable[Sequence[str]]) -> str:
    """Write what is searched: rows of name, summary, groups, keywords, hooks; sorted by name."""
    plain = [[" ".join(cell.replace(BETWEEN, " ").split()) for cell in row] for row in rows]
    columns = ["\n".join(cells) for cells in zip(*plain, strict=True)] or [""] * len(_WORTH)
    words = sorted(set(_WORD.findall("\n".join(columns).lower())))
    return BETWEEN.join([*columns, "\n".join(words)]) if plain else ""


class Hit(NamedTuple):
    """A tool that was found: its name and summary, and what the hit is worth."""

    name: str
    summary: str
    score: float


class SearchText:
    """The text of an index, ready to be searched."""

    def __init__(self, text: str) -> None:
        parts = text.split(BETWEEN)
        if text and len(parts) != _PARTS:
            raise InvalidIndex(f"the index has {len(parts)} columns to search, not {_PARTS}")
        self._names = parts[NAME].split("\n") if text else []
        self._summaries = parts[SUMMARY].split("\n") if text else []
        *columns, words = text.lower().split(BETWEEN) if text else [""]
        self._columns = [f" {one} ".replace("\n", " \n ").split("\n") for one in columns]
        if any(len(one) != len(self._names) for one in (*self._columns, self._summaries)):
            raise InvalidIndex("the columns of the index are not equally long")
        self._words = words.split("\n")

    def search(self, words: Iterable[str]) -> list[Hit]:
        """Find the tools that have all words, best first; all of them if there are no words."""
        wanted = [one for word in words for one in word.lower().split()]
        found = dict.fromkeys(range(len(self._names)), 0.0)
        for word in wanted:
            scores = self._scores(word)
            found = {line: found[line] + scores[line] for line in found.keys() & scores.keys()}
        best = sorted((-score, line) for line, score in found.items())  # lines are sorted by name
        return [Hit(self._names[line], self._summaries[line], -score) for score, line in best]

    def nearest(self, name: str, many: int = 3) -> list[str]:
        """Name the tools whose names look most like a name."""
        from difflib import get_close_matches

        return get_close_matches(name, self._names, many, 0.6)

    def _scores(self, word: str) -> dict[int, float]:
        scores = self._exact(word)
        if scores or len(word) < _SHORT:
            return scores
        for meant, distance in self._meant(word).items():
            for line, score in self._exact(meant).items():
                scores[line] = max(scores.get(line, 0.0), score * _TYPO / distance)
        return scores

    def _exact(self, word: str) -> dict[int, float]:
        """Weigh the lines that have a word, by the best place that it has in them."""
        scores: dict[int, float] = {}
        forms = f" {word} ", f" {word}", word
        for column, worths in _WORTH.items() if self._columns else ():
            texts = self._columns[column]
            hits = [line for line, text in enumerate(texts) if word in text]
            for form, worth in zip(reversed(forms), reversed(worths), strict=True):
                if form != word:
                    hits = [line for line in hits if form in texts[line]]
                for line in hits:
                    if scores.get(line, 0) < worth:
                        scores[line] = worth
                if not hits:
                    break
        return scores

    def _meant(self, word: str) -> dict[str, int]:
        """Find the words of the text within one typing error, or two in a long word.

        Whoever makes two errors leaves one of three pieces of a word as it is: what has none of
        them is not looked at.
        """
        limit = 1 if len(word) < 2 * _SHORT - 1 else 2
        third = -(-len(word) // (limit + 1))
        pieces = [word[at : at + third] for at in range(0, len(word), third)]
        shortest, longest = len(word) - limit, len(word) + limit
        near: dict[str, int] = {}
        for piece in pieces:
            for one in [
                one for one in self._words if piece in one and shortest <= len(one) <= longest
            ]:
                distance = edit_distance(word, one, limit)
                if distance <= limit:
                    near[one] = distance
        best = min(near.values(), default=0)
        return {one: distance for one, distance in near.items() if distance == best}


def edit_distance(one: str, other: str, limit: int) -> int:
    """Count the letters to put in, take out, replace or swap with the next; stops above a limit."""
    if one == other:
        return 0
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        above, before = before, row
        row = [at]
        for place, there in enumerate(other, 1):
            cost = min(row[place - 1] + 1, before[place] + 1, before[place - 1] + (letter != there))
            if at > 1 and place > 1 and letter == other[place - 2] and one[at - 2] == there:
                cost = min(cost, above[place - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
