"""Ctrl-C of a command, from its first line on: it ends soon, says "interrupted", and its exit code is 130.

Python's own way is not enough. A KeyboardInterrupt during an import is a traceback; one that is raised inside a
callback of a C library is printed and forgotten; and a compilation of half a minute lets none through. Only Python's
standard library is imported here, so that this comes first.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

INTERRUPTED = 130
GRACE = 2.0  # seconds in which a command ends by itself, and removes what it was writing

_asked = _said = False


def watch() -> None:
    """End the process at once at Ctrl-C, until `raised` is entered; to be called before anything heavy is imported.

    If Ctrl-C is ignored, as a shell does for what it starts in the background, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within it Ctrl-C raises KeyboardInterrupt; if the process is still there after `GRACE`, it is ended.

    Without `watch` before it, as in a test, it does nothing.
    """
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    if os.name == "posix":
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        # The number of a signal arrives in the pipe even while the main thread is inside a C library.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=_end_soon, args=(reader,), daemon=True, name="cganjax-interrupts").start()
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
    finally:
        watch()


def asked() -> bool:
    """Whether Ctrl-C came within `raised`: any error since then may be its consequence, as of a half-done import."""
    return _asked


def end() -> None:
    """Say it, once, and end the process, if it is one that watches.

    Python's own way out would be wrong here: it may crash while XLA's threads still compute, and after a Ctrl-C inside
    `exec`, as of a dataclass, it ends by a signal instead of the exit code.
    """
    if signal.getsignal(signal.SIGINT) is _leave:
        _leave(signal.SIGINT, None)
    _say()


def _say() -> None:
    global _said
    if not _said:
        _said = True
        with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody listens
            print("interrupted", file=sys.stderr, flush=True)


def _leave(number: int, frame: object) -> None:
    _say()
    os._exit(INTERRUPTED)


def _raise(number: int, frame: object) -> None:
    global _asked
    if _asked:  # and again: somebody is in a hurry
        _leave(number, frame)
    _asked = True
    raise KeyboardInterrupt


def _end_soon(reader: int) -> None:
    while True:
        (number,) = os.read(reader, 1)
        # A training has a handler of its own, which saves first.
        if number == signal.SIGINT and signal.getsignal(signal.SIGINT) is _raise:
            time.sleep(GRACE)
            _leave(number, None)
