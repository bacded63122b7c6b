"""Classes as people write them: names, numbers, or digits run together."""

import difflib
import re
from collections.abc import Iterator, Sequence

from cganjax.types import UserError

_LISTED = 12  # names in an error message


def parse_labels(text: str, class_names: Sequence[str]):
    """Labels int32 [N] from text.

    Classes are given by name or by number, with spaces or commas between them. Case does not matter, and "-" and "_"
    count as spaces. Names of one letter, and the numbers of at most 10 classes, may be run together, as 3141.

    Args:
      text: what the user wrote.
      class_names: the name of class k at place k.

    Raises:
      UserError: something is no class; it is named with its position, and the known classes are listed.

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

    >>> file_name_of(["T-shirt/top", "../x"])
    'T-shirt-top-x'
    """
    parts = [re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") for name in names]
    joiner = "" if all(len(part) == 1 for part in parts) else "-"
    return joiner.join(part for part in parts if part)[:longest].strip("-")


class _Names:
    """The names of classes, and the ways to write them."""

    def __init__(self, class_names: Sequence[str]):
        self.names = tuple(class_names)
        self._exact = {name: k for k, name in reversed([*enumerate(self.names)])}
        self._loose = {_loose(name): k for k, name in reversed([*enumerate(self.names)])}
        # Names that are numbers, but not those of their classes, leave no other meaning to a number.
        numbered = self.names == tuple(map(str, range(len(self.names))))
        self._by_number = numbered or not any(name.isdigit() for name in self.names)
        self._longest = max((len(key.split()) for key in self._loose), default=1)
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
        if _loose(text) in self._loose:  # also a name that holds a comma
            yield self._one(text.strip(), 0)
            return
        position = 0
        for part in text.split(","):
            words = part.split()
            while words:
                taken, labels = self._first(words, position)
                yield from labels
                position += len(labels)
                words = words[taken:]

    def _first(self, words: list[str], position: int) -> tuple[int, list[int]]:
        """How many of the words the first class or classes take, and their labels."""
        for taken in range(min(self._longest, len(words)), 0, -1):
            written = " ".join(words[:taken])
            label = self._exact.get(written, self._loose.get(_loose(written)))
            if label is not None:
                return taken, [label]
        word = words[0]
        if self._letters or (len(self.names) <= 10 and word.isdigit()):
            return 1, [self._one(letter, position + i) for i, letter in enumerate(word)]
        return 1, [self._one(word, position)]

    def _one(self, word: str, position: int) -> int:
        label = self._exact.get(word, self._loose.get(_loose(word)))
        if (
            label is None
            and self._by_number
            and word.isascii()
            and word.isdigit()
            and len(word) < 10
            and int(word) < len(self.names)
        ):
            label = int(word)
        if label is not None:
            return label
        near = difflib.get_close_matches(_loose(word), self._loose, n=1)
        hint = f" (did you mean {self.names[self._loose[near[0]]]}?)" if near and len(word) > 1 else ""
        raise UserError(f"{word!r} at position {position} is not a class{hint}: expected {self.expected}")


def _loose(name: str) -> str:
    return " ".join(re.sub(r"[-_]", " ", name.casefold()).split())
