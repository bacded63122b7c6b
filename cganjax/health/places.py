"""Checks of folders: compiled programs, data, and the one that a command writes into."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from cganjax import cli, files
from cganjax.health.finding import NOTE, OK, WRONG, Finding
from cganjax.memory import in_words
from cganjax.types import UserError

LEAST_DISK = 100 << 20  # bytes: a few checkpoints of the largest recipe
ENOUGH_DISK = 2 << 30


def cache() -> Iterator[Finding]:
    """Where compiled programs are kept; they are native code, so nobody else may write there."""
    folder, variable = cli.cache_folder(), cli.cache_variable()
    if folder is None:
        yield Finding(NOTE, "none: every command compiles anew", f"unset {variable}, or give it a folder")
        return
    if "://" in (named := os.environ.get(variable, "")):
        yield Finding(OK, f"{named}, which is not on this machine: who can write there was not checked")
        return
    cli.make_private(folder)
    try:
        files.writable_folder(folder)
    except (UserError, OSError) as error:
        yield Finding(WRONG, f"compiled programs cannot be kept: {error}", f"make it writable, or set {variable}")
        return
    if danger := cli.changed_by_others(folder):
        yield Finding(WRONG, *danger)
    yield from _room(folder, f"{folder}, {_owner(folder)}, {_entries(folder)}")


def data() -> Iterator[Finding]:
    """Where data sets are looked for by name."""
    from cganjax import data as sets

    folder = sets.sources.data_folder(None)
    if folder is None:
        yield Finding(
            OK, f"{sets.ENVIRONMENT} is not set: digits are embedded, and other sets are downloaded when they are used"
        )
    elif not folder.is_dir():
        yield Finding(
            WRONG, f"{folder} ({sets.ENVIRONMENT}) is no folder", f"make it, or set {sets.ENVIRONMENT} to another"
        )
    elif not os.access(folder, os.R_OK | os.X_OK):
        yield Finding(WRONG, f"{folder} cannot be read, {_owner(folder)}", f"chmod u+rx {folder}")
    else:
        held = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        more = ", ..." if len(held) > 8 else ""
        yield Finding(OK, f"{folder}, {_owner(folder)}, holds {', '.join(held[:8]) or 'nothing'}{more}")


def here() -> Iterator[Finding]:
    """The current folder, which runs/ and samples/ are made in."""
    folder = Path.cwd()
    try:
        files.writable_folder(folder)
    except (UserError, OSError):
        yield Finding(
            NOTE, f"{folder} cannot be written, {_owner(folder)}", "run commands in another folder, or give --out"
        )
        return
    yield from _room(folder, f"{folder}, {_owner(folder)}")


def _room(folder: Path, said: str) -> Iterator[Finding]:
    """A folder, by how much of its disk is free."""
    free = shutil.disk_usage(folder).free
    said = f"{said}, {in_words(free)} of its disk are free"
    if free < LEAST_DISK:
        yield Finding(WRONG, said, "free some space, or use a folder on another disk")
    else:
        yield Finding(OK, said) if free >= ENOUGH_DISK else Finding(NOTE, said, "free some space before a long run")


def _owner(folder: Path) -> str:
    """Who owns a folder, and its rights: "owned by anna, drwx------"."""
    found = folder.stat()
    try:
        import pwd

        name = pwd.getpwuid(found.st_uid).pw_name
    except (ImportError, KeyError):  # Windows, or a number without a name
        name = str(found.st_uid)
    return f"owned by {name}, {stat.filemode(found.st_mode)}"


def _entries(folder: Path) -> str:
    count = sum(1 for _ in os.scandir(folder))
    return f"{count:,} {'entry' if count == 1 else 'entries'}"
