"""What every command shares: flags, the choice of backend, errors as one sentence, exit codes, signals."""

import argparse
import contextlib
import difflib
import errno
import functools
import logging
import os
import re
import shlex
import signal
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cganjax import checks, determinism, files, interrupts, parallel, quiet
from cganjax.types import CacheWarning, CheckpointError, UnknownCheckpoint, UserError

DONE, FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, interrupts.INTERRUPTED, 143
BACKENDS = ("cpu", "gpu", "tpu", "auto")
CACHE, OF_JAX = "CGANJAX_CACHE_DIR", "JAX_COMPILATION_CACHE_DIR"  # variables that name the folder of compiled programs


class Parser(argparse.ArgumentParser):
    """argparse with one-sentence errors that name the nearest flag and all known ones."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)

    def error(self, message: str):
        raise UserError(f"{message} (see {self.prog} --help)")

    def parse_args(self, args=None, namespace=None):
        """Parse, and refuse unknown arguments."""
        args = sys.argv[1:] if args is None else list(args)
        for text in args:
            if text.startswith("--") and text.endswith("=--"):  # argparse would take it for no value at all
                self.error(f"argument {text.removesuffix('=--')}: '--' is no value")
        values, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
            near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"unknown argument {unknown[0]!r}; {hint}Known flags: {', '.join(flags)}")
        return values


def path(text: str) -> Path:
    """The type of every flag that takes a path: "~" and "~name" are expanded, as a shell does only for whole words.

    >>> path("runs/mine")
    PosixPath('runs/mine')
    """
    return Path(_expanded(text))


def name_or_path(text: str) -> str:
    """The type of a flag that takes a name or a path, such as --checkpoint and --dataset: see `path`.

    >>> name_or_path("mnist"), name_or_path("images/")
    ('mnist', 'images/')
    """
    return _expanded(text)


def _expanded(text: str) -> str:
    """`files.expanded`; argparse turns the error into ours, with the flag's name."""
    try:
        return files.expanded(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_backend(parser: argparse.ArgumentParser) -> None:
    """`--backend`, which every command has."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="where to compute; auto takes what JAX finds, the others fail if they are not available (default: auto)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--dataset`, `--data-dir` and `--size`."""
    parser.add_argument(
        "--dataset",
        type=name_or_path,
        metavar="SOURCE",
        help="digits (embedded), mnist, or any TFDS image set, by its name; a folder with one sub-folder of PNG or "
        "JPEG files per class; or an .npz file with images and labels",
    )
    parser.add_argument(
        "--data-dir",
        type=path,
        metavar="DIR",
        help="where data sets are looked for by name: a folder with IDX files, or one with mnist/, kmnist/, tfds/ "
        "(default: CGANJAX_DATA_DIR, then TFDS's default folder, then a download)",
    )
    parser.add_argument(
        "--size",
        type=_side,
        metavar="N",
        help="the side in pixels of the images of a folder: the centre square of each picture is resized to it "
        "(default: as it was when the network was trained; else pictures of one size stay as they are, and those of "
        "several sizes become 32x32)",
    )


def _side(text: str) -> int:
    """The type of `--size`."""
    from cganjax.data import SIZES

    try:
        return checks.whole("it", int(text), *SIZES)
    except ValueError:
        low, high = SIZES
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high:,}") from None


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """`--overwrite`, of commands that write files of fixed names."""
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")


def add_deterministic(parser: argparse.ArgumentParser) -> None:
    """`--deterministic`, of commands that train."""
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="make the result independent of the number of CPU cores: one thread for each of --devices (default: one "
        "device); on a GPU, use XLA's deterministic kernels (not tested on one). See docs/how-to/determinism.md",
    )


def check_seed(seed: int) -> None:
    """Raise UserError unless JAX takes the seed."""
    checks.seed("--seed", seed)


def choose_backend(name: str, cpu_devices: int = 1) -> None:
    """Fix the backend before JAX initialises, and switch on the compilation cache.

    Args:
      name: one of `BACKENDS`.
      cpu_devices: the number of devices that JAX sees the CPU as. If JAX has already initialised, it stays as it is.

    Raises:
      UserError: the backend is not available.
    """
    import jax

    use_compilation_cache()
    keep_freed_memory()
    if cpu_devices > 1:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", cpu_devices)
    try:
        if name in ("cpu", "tpu"):
            jax.config.update("jax_platforms", name)
        # For gpu nothing was set: it may be CUDA or ROCm, and JAX prefers whichever is installed.
        found = jax.default_backend()
    except RuntimeError as error:
        raise UserError(_no_backend(name, str(error).strip().splitlines()[0])) from None
    if name not in ("auto", found):
        raise UserError(_no_backend(name, f"JAX computes on {found}"))
    # A shape that broadcasts by accident is an error in our commands; the package itself leaves JAX's options alone.
    jax.config.update("jax_numpy_rank_promotion", "raise")


def _no_backend(name: str, reason: str) -> str:
    ways = {
        "gpu": "install the driver and pip install 'cganjax[gpu]'",
        "tpu": "pip install 'cganjax[tpu]' on a machine that has one",
    }
    way = ways.get(name, "check the JAX installation")
    return f"--backend {name}: there is none ({reason}); {way}, or use --backend cpu"


def use_compilation_cache() -> None:
    """Keep compiled programs in `cache_folder`, if any, unless others can change it: then warn, and go without."""
    import jax

    folder = cache_folder()
    if folder is None:
        return
    make_private(folder)
    if danger := changed_by_others(folder):
        jax.config.update("jax_compilation_cache_dir", None)
        said, advice = danger
        warnings.warn(f"compiled programs are neither kept nor used: {said}: {advice}", CacheWarning, stacklevel=2)
    elif OF_JAX not in os.environ:  # of which JAX knows itself
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # A command compiles some ten small programs beside a large one: reading them saves a seventh of its start.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def cache_variable() -> str:
    """The environment variable that moves the folder of compiled programs: JAX's own comes first."""
    return OF_JAX if OF_JAX in os.environ else CACHE


def cache_folder() -> Path | None:
    """The folder that JAX keeps compiled programs in; None if the variable that names it is empty.

    It is JAX_COMPILATION_CACHE_DIR as it is, or else a folder for this number of cores in CGANJAX_CACHE_DIR or the
    user's cache folder.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cganjax"
    named = os.environ.get(cache_variable(), str(default))
    if not named:
        return None
    if OF_JAX in os.environ:
        return Path(named)
    # A CPU program is compiled for a number of cores, which XLA's cache key does not contain.
    return Path(named) / ("deterministic-" * determinism.fixed() + f"{parallel.cores()}-cores")


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, for this user alone whatever the umask, if that can be."""
    if "://" in os.environ.get(OF_JAX, ""):  # a bucket, which JAX reaches by itself
        return
    with contextlib.suppress(OSError):
        for place in (*reversed(folder.absolute().parents), folder):
            place.mkdir(mode=0o700, exist_ok=True)


def changed_by_others(folder: Path) -> tuple[str, str] | None:
    """Who else can change what is in a folder of compiled programs, which the processor runs, and what to do about it.

    Whoever can write into a folder above it can put another in its place, unless that one is sticky, as /tmp is. Below
    a folder that only we can enter, rights do not matter.
    """
    if os.name != "posix" or not os.path.isdir(folder):  # also one that we cannot reach
        return None
    folder = folder.resolve()
    trusted = (os.getuid(), 0, Path("/").stat().st_uid)  # in a container, root can have another number
    own, open_ones = f"set {cache_variable()} to a folder of your own", []
    for place in (*reversed(folder.parents), folder):
        found = place.stat()
        if found.st_uid not in trusted:
            return f"{place} belongs to another user, and the processor runs what is in {folder}", own
        sticky = place != folder and found.st_mode & stat.S_ISVTX
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
            open_ones.append(place)
        elif found.st_uid == os.getuid() and not found.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
            break
    if not open_ones:
        return None
    listed = " ".join(shlex.quote(str(place)) for place in open_ones)
    can_mend = all(os.getuid() in (place.stat().st_uid, 0) for place in open_ones)
    said = f"others can write into {', '.join(map(str, open_ones))}, and the processor runs what is in {folder}"
    return said, f"chmod go-w {listed}, or {own}" if can_mend else own


def keep_freed_memory() -> None:
    """Let glibc's malloc keep large blocks for the next use, in this process alone; without glibc, do nothing.

    XLA asks for a step's whole working memory at each call. By default glibc maps so large a block anew each time, and
    the kernel clears every page of it again: a sixth of the flagship's step on 2 cores. It changes no result.
    """
    import ctypes

    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX and M_TRIM_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # no glibc: another system, or another C library
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)


def execute(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> int:
    """Run a command's main and turn the errors that a user can mend into one sentence and an exit code.

    Any other exception is a bug of ours, and passes with its traceback.
    """
    try:
        _mute_late_calls()
        with interrupts.raised(), _warnings_in_a_line():
            try:
                code = main(argv) or DONE
            finally:
                sys.stdout.flush()  # here a closed or full output is still an error that can be said
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt) or interrupts.asked()
        if not stopped and (code := _said(error)) is None:
            raise
    else:
        stopped = interrupts.asked()
    if stopped:
        interrupts.end()
        return INTERRUPTED
    return code


def _said(error: BaseException) -> int | None:
    """Say in one sentence what a user can mend. Returns the exit code, or None for what may be a bug of ours."""
    if isinstance(error, BrokenPipeError):  # the reader of our output, such as `head`, has closed it
        _drop_output()
        return FAILED
    if isinstance(error, (UserError, CheckpointError, UnknownCheckpoint)):
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    refused = error if isinstance(error, OSError) else _of_tensorstore(error)
    if refused is None:
        return None
    if refused.errno in files.FULL or refused.errno == errno.EROFS:
        if refused.filename is None:
            _drop_output()
        advice = "choose another disk" if refused.errno == errno.EROFS else "free some space, or choose another disk"
        where = refused.filename or "the output"
        print(f"error: {where} cannot be written ({refused.strerror}): {advice}", file=sys.stderr)
        return FAILED
    if refused.filename is None:
        return None
    print(
        f"error: {refused.filename} cannot be used ({refused.strerror}): check the path and its rights",
        file=sys.stderr,
    )
    return BAD_INPUT


@contextlib.contextmanager
def _warnings_in_a_line():
    """Within it, a warning of ours is one line on stderr, without the line of code that gave it."""
    before = warnings.showwarning

    def show(message, category, *where, **more):
        if category.__module__.partition(".")[0] == "cganjax":
            print(f"warning: {message}", file=sys.stderr)
        else:
            before(message, category, *where, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _of_tensorstore(error: BaseException) -> OSError | None:
    """The system's error in one of TensorStore, which writes the arrays of a run, if any: its text holds the number."""
    text = str(error)
    number, place = re.search(r"os_error_code='(\d+)'", text), re.search(r'local file "([^"]+)"', text)
    if number is None:
        return None
    return OSError(int(number[1]), os.strerror(int(number[1])), place[1] if place else "the run folder")


def _drop_output() -> None:
    """Send what is still to be printed nowhere, so that it is not tried again when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@functools.cache
def _mute_late_calls() -> None:
    """Keep TensorStore and asyncio quiet after a call that failed, whose error was raised, until the process ends.

    Threads that are still under way report late (`quiet.is_late`), and futures complain that nobody asked for them.
    """
    unraisable, exception = sys.unraisablehook, sys.excepthook

    def on_unraisable(found):
        # A Ctrl-C that a callback swallowed is not lost: see `interrupts`.
        swallowed = isinstance(found.exc_value, KeyboardInterrupt) and interrupts.asked()
        if not (swallowed or quiet.is_late(found.exc_value)):
            unraisable(found)

    def on_exception(kind, value, trace):
        if threading.current_thread() is threading.main_thread() or not quiet.is_late(value):
            exception(kind, value, trace)

    sys.unraisablehook, sys.excepthook = on_unraisable, on_exception
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


class Stop:
    """Within it the first Ctrl-C or SIGTERM is a wish to stop, which `wished` reports; the second ends the process.

    Ctrl-C becomes one when `wished` is called for the first time: a training asks after its first step, and then there
    is something to save. Before that it ends the command.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._catch)
        return self

    def __exit__(self, *exc) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, number, frame) -> None:
        if self.signal is not None:
            raise SystemExit(INTERRUPTED if number == signal.SIGINT else TERMINATED)
        self.signal = number
        print("\nstopping after this step, saving ...", file=sys.stderr, flush=True)

    def wished(self) -> bool:
        """Whether a signal came."""
        if signal.SIGINT not in self._before:
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._catch)
        return self.signal is not None

    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, 0 for neither."""
        return {None: DONE, signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}[self.signal]
