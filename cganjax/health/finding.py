"""What a check finds."""

from typing import NamedTuple

OK, NOTE, WRONG = "ok", "note", "WRONG"  # as they are, worth knowing, to be mended


class Finding(NamedTuple):
    """One line of `cganjax doctor`, and what to do about it."""

    level: str  # OK, NOTE or WRONG
    said: str
    advice: str = ""  # of all that is WRONG, and of a note that can be helped
