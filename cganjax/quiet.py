"""What libraries say and nobody needs: of an error that is raised as well, or of a call that comes too late."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def logger(name: str) -> Iterator[None]:
    """Within it, a library's logger says only what is critical."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def is_late(error: BaseException | None) -> bool:
    """Whether an error is of a read or write of TensorStore that reports to an event loop that is gone.

    One array that cannot be read or written ends the call for all, with an error that is raised. The others are still
    under way then.
    """
    return isinstance(error, RuntimeError) and "Event loop is closed" in str(error)
