"""The lock of a run folder: one process trains in it at a time, and any other is told which one does."""

import contextlib
import datetime
import errno
import json
import os
import socket
import warnings
from pathlib import Path

import filelock

from cganjax.run_folder import LOCK
from cganjax.types import RunFolderWarning, UserError

# Seconds to wait for the lock: long enough for another process to write its name into the file that it has just locked.
WAIT = 0.5
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}


class RunLock:
    """Held from its creation to `release`, or until the process ends in whatever way: the system then releases it."""

    def __init__(self, folder: Path):
        """Take the lock of a folder.

        Raises:
          UserError: another process or thread holds it; the message names the process.
          OSError: the folder cannot be written.
        """
        self._path = folder / LOCK
        # No fallback to a lock file without flock: that one stays behind when a process dies.
        self._lock = filelock.FileLock(self._path, timeout=WAIT, thread_local=False, fallback_to_soft=False)
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise UserError(
                f"{folder} is in use by {_holder(self._path)}: wait until that run ends, or choose another folder "
                "(out=)"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{folder} is on a file system without locks: start no second training there meanwhile",
                RunFolderWarning,
                stacklevel=2,
            )
        since = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        self._path.write_text(json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since}))

    def release(self) -> None:
        """Let go of the folder, without a trace in it."""
        # While the lock is held: whoever waits for the deleted file notices, and makes a new one.
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._lock.release()


def _holder(path: Path) -> str:
    """Who holds the lock, as it wrote itself; the file is of use to people alone."""
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['process']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
