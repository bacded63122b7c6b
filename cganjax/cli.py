"""What every command shares: flags, the choice of backend, errors as one sentence, exit codes, signals, progress."""

import argparse
import contextlib
import difflib
import os
import signal
import sys
import time
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
        """Parse, and refuse what is not known."""
        values, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
            near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"unknown argument {unknown[0]!r}; {hint}Known flags: {', '.join(flags)}")
        return values


def add_backend(parser: argparse.ArgumentParser) -> None:
    """`--backend`, as every command has it."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="auto",
        help="where to compute; auto takes what JAX finds, the others fail where they are not there (default: auto)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--dataset` and `--data-dir`."""
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        help="digits (embedded), mnist, a TFDS image set by its name, or the path of "
        "a folder with one sub-folder per class, or of an .npz file",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="a folder with IDX files, or a root with mnist/, kmnist/, tfds/ (default: CGANJAX_DATA_DIR, then TFDS's "
        "own folder, then a download)",
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """`--overwrite`, of commands that write files of fixed names."""
    parser.add_argument("--overwrite", action="store_true", help="replace files where they exist")


def check_seed(seed: int) -> None:
    """UserError where JAX would not take it."""
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed is {seed}: give a number within 0 and 2^32 - 1")


def choose_backend(name: str, cpu_devices: int = 1) -> None:
    """Fix the backend before JAX initialises, and switch on the compilation cache; UserError where it is not there.

    `cpu_devices` is the number of devices that the CPU is to count as; where JAX has begun already it stays as it is.
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
    # A shape that broadcasts by accident is an error in our commands; the importing user's JAX is left as it is.
    jax.config.update("jax_numpy_rank_promotion", "raise")


def _no_backend(name: str, reason: str) -> str:
    ways = {
        "gpu": "install the driver and pip install 'cganjax[gpu]'",
        "tpu": "pip install 'cganjax[tpu]' on a machine that has one",
    }
    way = ways.get(name, "check the JAX installation")
    return f"--backend {name}: there is none ({reason}); {way}, or use --backend cpu"


def use_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder; CGANJAX_CACHE_DIR moves it, and an empty value is none."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" in os.environ:  # the user has said it to JAX itself
        return
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cganjax"
    folder = os.environ.get("CGANJAX_CACHE_DIR", str(default))
    if folder:
        # XLA shares a CPU program's work out among the cores that it sees, and its key does not say how many.
        jax.config.update("jax_compilation_cache_dir", str(Path(folder) / f"{parallel.cores()}-cores"))
        # A command compiles some ten small programs beside a large one: reading them saves a seventh of its start.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def keep_freed_memory() -> None:
    """Let glibc's malloc keep large blocks for the next use, for this process alone; elsewhere nothing is done.

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
    """Run a command's main and turn what it raises into a sentence and an exit code."""
    try:
        return main(argv) or DONE
    except BrokenPipeError:  # whoever read our output has seen enough
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
    """While it is entered, the first Ctrl-C or SIGTERM is a wish that `wished` reports; the second ends at once."""

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


# The metrics that a progress line has room for, as it calls them.
_SHOWN = {"loss_generator": "loss G", "loss_discriminator": "loss D", "loss": "loss", "accuracy": "accuracy"}


class Progress:
    """Where a run stands: a bar on a terminal, a line at intervals where output is piped."""

    def __init__(self, start: int, total: int, images_per_step: int, seconds: float = 20.0):
        from tqdm import tqdm

        self._tty = sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=start, unit="step", disable=not self._tty, dynamic_ncols=True)
        self._start, self._total, self._images, self._seconds = start, total, images_per_step, seconds
        self._began = self._said = time.perf_counter()

    def step(self, done: int) -> None:
        """`done` updates are handed out."""
        self._bar.update(done - self._bar.n)

    def log(self, done: int, values: dict[str, float]) -> None:
        """Show the newest metrics."""
        shown = {name: f"{value:.3f}" for name, value in values.items() if name in _SHOWN}
        if self._tty:
            self._bar.set_postfix({_SHOWN[n]: v for n, v in shown.items()} | {"img/s": f"{self._rate(done):.0f}"})
            return
        now = time.perf_counter()
        if now - self._said >= self._seconds or done == self._total:
            self._said = now
            rate = self._rate(done)
            left = (self._total - done) * self._images / max(rate, 1e-9)
            losses = "  ".join(f"{_SHOWN[n]} {v}" for n, v in shown.items())
            print(
                f"step {done}/{self._total} ({done * self._images:,} images)  {losses}"
                f"  {rate:.0f} images/s  {left / 60:.1f} min left",
                flush=True,
            )

    def _rate(self, done: int) -> float:
        return (done - self._start) * self._images / max(time.perf_counter() - self._began, 1e-9)

    def close(self) -> None:
        """End the bar's line."""
        self._bar.close()
