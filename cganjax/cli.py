"""What every command shares: flags, the choice of backend, errors as one sentence, exit codes, signals."""

import argparse
import contextlib
import difflib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cganjax import parallel
from cganjax.types import CheckpointError, UnknownCheckpoint, UserError

DONE, FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
BACKENDS = ("cpu", "gpu", "tpu", "auto")


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


def add_backend(parser: argparse.ArgumentParser) -> None:
    """`--backend`, which every command has."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="where to compute; auto takes what JAX finds, the others fail if they are not available (default: auto)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--dataset` and `--data-dir`."""
    parser.add_argument(
        "--dataset",
        metavar="SOURCE",
        help="digits (embedded), mnist, or any TFDS image set, by its name; a folder with one sub-folder of PNG or "
        "JPEG files per class; or an .npz file with images and labels",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where data sets are looked for by name: a folder with IDX files, or one with mnist/, kmnist/, tfds/ "
        "(default: CGANJAX_DATA_DIR, then TFDS's default folder, then a download)",
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """`--overwrite`, of commands that write files of fixed names."""
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")


def check_seed(seed: int) -> None:
    """Raise UserError unless JAX takes the seed."""
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed is {seed}: give a number within 0 and 2^32 - 1")


def choose_backend(name: str, cpu_devices: int = 1) -> None:
    """Fix the backend before JAX initialises, and switch on the compilation cache.

    `cpu_devices` is the number of devices that JAX sees the CPU as. If JAX has already initialised, it stays as it is.

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
    """Keep compiled programs in the user's cache folder; CGANJAX_CACHE_DIR names another, or none if it is empty."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" in os.environ:  # the user has said it to JAX itself
        return
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cganjax"
    folder = os.environ.get("CGANJAX_CACHE_DIR", str(default))
    if folder:
        # A CPU program is compiled for a number of cores, which XLA's cache key does not contain.
        jax.config.update("jax_compilation_cache_dir", str(Path(folder) / f"{parallel.cores()}-cores"))
        # A command compiles some ten small programs beside a large one: reading them saves a seventh of its start.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


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
        return main(argv) or DONE
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (UserError, CheckpointError, UnknownCheckpoint) as error:
        _mute_late_reads()
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        if error.filename is None:
            raise
        print(
            f"error: {error.filename} cannot be used ({error.strerror}): check the path and its rights", file=sys.stderr
        )
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _mute_late_reads() -> None:
    """Keep TensorStore quiet after a failed restore: its reads still under way report to an event loop that is gone."""
    before = sys.unraisablehook

    def hook(unraisable):
        if not (isinstance(unraisable.exc_value, RuntimeError) and "Event loop is closed" in str(unraisable.exc_value)):
            before(unraisable)

    sys.unraisablehook = hook


class Stop:
    """Within it the first Ctrl-C or SIGTERM is a wish to stop, which `wished` reports; the second ends the process."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> "Stop":
        self._before = {s: signal.signal(s, self._catch) for s in (signal.SIGINT, signal.SIGTERM)}
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
        return self.signal is not None

    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM, 0 for neither."""
        return {None: DONE, signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}[self.signal]
