"""Classes as people write them: names, numbers, or numbers below ten run together."""

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence

from cganjax.types import UserError

_LISTED = 12  # names in an error message
_NEAR = 3  # suggestions in an error message


def parse_labels(text: str, class_names: Sequence[str]):
    """Labels int32 [N] from text.

    Classes are given by name or by number, with spaces or commas between them. Case does not matter, and "-", "_" and
    "/" within a name count as spaces. A name may itself hold spaces and commas: the longest one that fits is taken.
    Names of one letter, and the numbers of at most 10 classes, may be run together, as 3141.

    Args:
      text: what the user wrote.
      class_names: the name of class k at place k.

    Raises:
      UserError: something is no class; it is named with its position, similar names are suggested, and the known
        classes are listed.

    >>> parse_labels("ankle boot, bag 1", ("bag", "coat", "ankle boot")).tolist()
    [2, 0, 1]
    """
    import numpy as np

    known = _Names(class_names)
    labels = list(known.labels_of(text))
    if not labels:
        raise UserError(f"{text!r} names no class: expected {known.expected}")
    return np.array(labels, np.int32)


def parse_digits(text: str, num_classes: int):
    """`parse_labels` for classes without names. The old name; it will go in the next version."""
    return parse_labels(text, tuple(map(str, range(num_classes))))


def file_name_of(names: Sequence[str], longest: int = 40) -> str:
    """Class names as a part of a file name: ASCII letters, digits and hyphens only. It is empty if they have none.

    >>> file_name_of(["T-shirt/top", "../x", "Ärmel"])
    'T-shirt-top-x-Armel'
    """
    plain = (unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() for name in names)
    parts = [re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") for name in plain]
    joiner = "" if all(len(part) == 1 for part in parts) else "-"
    return joiner.join(part for part in parts if part)[:longest].strip("-")


class _Names:
    """The names of classes, and the ways to write them."""

    def __init__(self, class_names: Sequence[str]):
        self.names = tuple(class_names)
        self._exact = {_spaced(name): k for k, name in reversed([*enumerate(self.names)])}
        self._loose = {_loose(name): k for k, name in reversed([*enumerate(self.names)])}
        # Names that are numbers, but not those of their classes, leave no other meaning to a number.
        numbered = self.names == tuple(map(str, range(len(self.names))))
        self._by_number = numbered or not any(name.isdigit() for name in self.names)
        self._longest = max(len(key.split()) for key in (*self._exact, *self._loose, "0"))
        self._letters = all(len(name) == 1 for name in self.names)

    @property
    def expected(self) -> str:
        """The classes that there are, in a few words."""
        last = len(self.names) - 1
        if self.names == tuple(map(str, range(len(self.names)))):
            return f"classes from 0 to {last}, such as {' '.join(self.names[:4])}"
        listed = ", ".join(self.names[:_LISTED])
        if len(self.names) > _LISTED:
            listed += f", ... ({len(self.names):,} in all)"
        return f"{listed}{f', or a number from 0 to {last}' if self._by_number else ''}"

    def labels_of(self, text: str) -> Iterator[int]:
        """The labels in a text, one after the other."""
        words, position = _spaced(text).split(), 0
        while words:
            taken, labels = self._first(words, position)
            yield from labels
            position += len(labels)
            words = words[taken:]

    def _first(self, words: list[str], position: int) -> tuple[int, list[int]]:
        """How many of the words the first class or classes take, and their labels."""
        for taken in range(min(self._longest, len(words)), 0, -1):
            label = self._named(" ".join(words[:taken]))
            if label is not None:
                return taken, [label]
        if words[0] == ",":
            return 1, []
        run_together = self._letters or (len(self.names) <= 10 and words[0].isdigit())
        labels = [self._named(part) for part in (words[0] if run_together else [words[0]])]
        if None not in labels:
            return 1, labels
        wrong = labels.index(None)
        partly = len({*labels}) > 1  # then the letter that is no class is meant, otherwise the word
        raise self._unknown([words[0][wrong]] if partly else words, position + wrong)

    def _named(self, written: str) -> int | None:
        """The class of this name or number, if any."""
        label = self._exact.get(written, self._loose.get(_loose(written)))
        number = self._by_number and written.isascii() and written.isdigit() and len(written) < 10
        if label is None and number and int(written) < len(self.names):
            return int(written)
        return label

    def _unknown(self, words: list[str], position: int) -> UserError:
        """What to say of words that begin with no class; they may be a misspelt name of several words."""
        end = next((i for i, word in enumerate(words) if word == "," or (i and self._named(word) is not None)), None)
        words = words[:end]
        for taken in range(min(self._longest, len(words)), 0, -1):
            written = " ".join(words[:taken])
            near = self._near(written) if len(written) > 1 else []
            if near or taken == 1:
                break
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        return UserError(f"{written!r} at position {position} is not a class{hint}: expected {self.expected}")

    def _near(self, written: str) -> list[str]:
        """The names that are most like a text, as a whole or in one of their words."""
        forms = {name: [name] for name in self._loose}
        for name in self._loose:
            for word in name.split():
                forms.setdefault(word, []).append(name)
        found = difflib.get_close_matches(_loose(written), forms, n=_NEAR)
        names = dict.fromkeys(name for form in found for name in forms[form])
        return [self.names[self._loose[name]] for name in names][:_NEAR]


def _spaced(text: str) -> str:
    """A text in one form of Unicode, with single spaces between its words and commas."""
    return " ".join(re.findall(r",|[^\s,]+", unicodedata.normalize("NFC", text)))


def _loose(name: str) -> str:
    return _spaced(re.sub(r"(?<=[^\W_])[-_/]+(?=[^\W_])", " ", unicodedata.normalize("NFKC", name).casefold()))
