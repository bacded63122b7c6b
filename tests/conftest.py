"""Settings of the whole test run, stricter than the users', and what many tests need and is made once.

Promotions of dtype and rank raise, and warnings are errors. Each worker computes on one core, see `use_one_core`.
Compiled programs are kept between runs, see `compilation_cache`. `slow` tests run by `python -m pytest -m slow` only.
"""

import contextlib
import functools
import os
import platform
import shutil
import signal
import tempfile
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("JAX_PLATFORMS", "cpu")
_BESIDE = ROOT.parent / "shared" / "data"
DATA_DIR = os.environ.get("CGANJAX_DATA_DIR") or (str(_BESIDE) if _BESIDE.is_dir() else None)
CALIBRATION = 3000  # real images that `calibrated` takes unless it is told otherwise

# Settings under which a step of the recipe `digits` takes milliseconds.
TINY = """batch_size=8 steps=6 log_every=2 sample_every=3 checkpoint_every=3 generator.latent_size=8
    generator.embedding=4 generator.hidden=16 generator.width_7=8 generator.width_14=8
    discriminator.width_14=4 discriminator.width_7=8 discriminator.hidden=16""".split()
# What JAX says before it compiles anew: the entry is damaged, or another worker is writing it just now.
DAMAGED_CACHE = "ignore:Error reading persistent compilation cache entry:UserWarning"
TINY_FLAGS = ["--recipe", "digits", *(part for setting in TINY for part in ("--set", setting))]


def pytest_addoption(parser):
    parser.addoption(
        "--empty-cache",
        action="store_true",
        help="begin with an empty compilation cache, which is removed at the end, to measure what a first run takes",
    )


def _hypothesis_profiles():
    """Inputs that nobody thought of: 200 for each test, the same each time; `--hypothesis-profile=thorough` 10,000."""
    with contextlib.suppress(ImportError):  # the extra `test` has it
        from hypothesis import HealthCheck, settings

        slow = {"deadline": None, "suppress_health_check": [*HealthCheck], "database": None}
        for name, examples in (("same", 200), ("thorough", 10_000)):
            settings.register_profile(name, max_examples=examples, derandomize=name != "thorough", **slow)
        settings.load_profile("same")


_hypothesis_profiles()  # now, before hypothesis reads --hypothesis-profile


def pytest_configure(config):
    # A shell lets what it starts in the background ignore Ctrl-C, and so would the commands that tests press it in.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Before JAX is imported: it reads the environment then. The programs of most tests run once, and XLA takes two to
    # eight times as long to optimise them as to compile them plainly. Golden and slow tests see them as users do.
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    compilation_cache(config)
    if "PYTEST_XDIST_WORKER" in os.environ or not config.getoption("numprocesses", None):
        use_one_core()  # not the process that starts the workers: they would see one core only
    import jax

    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    _let_optax_promote()
    config.addinivalue_line("filterwarnings", "error")
    # Of the libraries below us; none is about our own code.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:(etils|tensorflow_datasets|promise|orbax).*")
    config.addinivalue_line("filterwarnings", DAMAGED_CACHE)


# --- cores and the compilation cache ----------------------------------------------------------------------------------


def use_one_core() -> None:
    """Keep this process, and those that it starts, on one core: worker i on core i, if the system lets us choose.

    XLA shares a program out among the cores that it sees, and the last bits of convolutions' gradients depend on their
    number. On one core they do not depend on the machine, and two workers do not compete for two cores.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    if _can_choose_cores():
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


def _can_choose_cores() -> bool:
    return hasattr(os, "sched_setaffinity")


def compilation_cache(config) -> None:
    """Let JAX keep the programs of this test run, of its workers and of the processes that tests start.

    The folder is `tests/CPU` below the project's own cache folder, which `CGANJAX_CACHE_DIR` moves (an empty value:
    nothing is kept). CPU is a digest of the processor's instructions and the number of cores that a worker sees, since
    XLA compiles for both, and its own key does not say so. A user's `JAX_COMPILATION_CACHE_DIR` is left as it is.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the environment is that of the process which started the workers
    folder = _cache_folder()
    if config.getoption("--empty-cache"):
        folder = Path(tempfile.mkdtemp(prefix="cganjax-tests-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    elif "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(OSError):  # without rights to write there, nothing is kept
        if folder:
            for place in (*reversed(folder.parents), folder):  # private, or commands would not use it
                place.mkdir(mode=0o700, exist_ok=True)
            os.environ |= {
                "JAX_COMPILATION_CACHE_DIR": str(folder),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }


def _cache_folder() -> Path | None:
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cganjax"
    project = os.environ.get("CGANJAX_CACHE_DIR", str(default))
    return Path(project).expanduser().resolve() / "tests" / cpu() if project else None


def cpu() -> str:
    """The processor's instructions as a digest, and the number of cores that a worker sees."""
    said = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        said = next((line for line in lines if line.startswith(("flags", "Features"))), said)
    cores = 1 if _can_choose_cores() else os.cpu_count()
    return f"{platform.machine()}-{zlib.crc32(said.encode()):08x}-{cores}-cores"


def _let_optax_promote():
    """optax's Adam and plateau schedule mix integers with floats, which strict promotion forbids: they alone may."""
    import jax
    import optax

    def lenient(make):
        def made(*args, **kwargs):
            optimizer = make(*args, **kwargs)

            def update(*inputs, **extra):
                with jax.numpy_dtype_promotion("standard"):
                    return optimizer.update(*inputs, **extra)

            return type(optimizer)(optimizer.init, update)

        return made

    optax.adam = lenient(optax.adam)
    optax.contrib.reduce_on_plateau = lenient(optax.contrib.reduce_on_plateau)


@pytest.fixture(scope="module")
def optimised():
    """Within a module's tests XLA optimises as it does for users; what was compiled before and after is let go."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.clear_caches()
    jax.config.update("jax_disable_most_optimizations", before)


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def data_dir():
    """The folder with real MNIST, or a skip that says why."""
    if DATA_DIR is None or not (Path(DATA_DIR) / "mnist").is_dir():
        pytest.skip("no real MNIST: set CGANJAX_DATA_DIR to a folder that has mnist/")
    return Path(DATA_DIR)


@pytest.fixture(autouse=True)
def _no_data_dir(monkeypatch):
    """Tests name their data; none finds another set through the environment."""
    monkeypatch.delenv("CGANJAX_DATA_DIR", raising=False)


@pytest.fixture(autouse=True)
def _no_reminders(monkeypatch):
    """Commands do not say what takes long, so that their output is the same on a busy machine."""
    from cganjax import waiting

    monkeypatch.setattr(waiting, "FIRST", 3600)


@pytest.fixture(scope="session")
def digits():
    """The embedded digits' training split."""
    from cganjax import data

    return data.load("digits", "train")


@pytest.fixture(scope="session")
def real(data_dir):
    """Real images in [0, 1] and their labels: (name, first, last) -> arrays from the test split of that data set."""
    from cganjax import data, pixels

    @functools.cache
    def load(name):
        if not (data_dir / name).is_dir():
            pytest.skip(f"no {name} beside MNIST")
        return data.load(name, "test", data_dir)

    def rows(name="mnist", first=0, last=None):
        dataset = load(name)
        return pixels.rest_to_unit(dataset.images[first:last]), dataset.labels[first:last]

    return rows


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny():
    """A run so small that a step takes milliseconds: its config, and the networks of it."""
    from cganjax import models, recipes
    from cganjax.data import known
    from cganjax.training import config as cfg

    config = cfg.override(recipes.load("digits"), TINY)
    return config, models.build(config, known.KNOWN[config.dataset])


@pytest.fixture(scope="session")
def shipped_generator():
    """Shipped generators by name, each loaded once."""
    from cganjax import sampling

    return functools.cache(sampling.load)


@pytest.fixture(scope="session")
def shipped_classifier():
    """Shipped classifiers by name, each loaded once."""
    from cganjax import sampling

    return functools.cache(sampling.load_classifier)


@pytest.fixture(scope="session")
def calibrated(shipped_classifier, real):
    """Detectors on the first real test images of MNIST, each made once: (name, classifier, images=3000)."""
    from cganjax.decoys import detectors

    @functools.cache
    def make(name, classifier, images=CALIBRATION):
        inputs, labels = real("mnist", 0, images)
        return detectors.calibrate(name, shipped_classifier(classifier), inputs, labels=labels)

    return make


# --- made once for all workers ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """(name, make) -> a folder that `make(folder)` fills in one worker while the others wait for it; read only."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def get(name, make):
        folder, done = shared / f"once-{name}", shared / f"once-{name}.done"
        with _only_one(shared / f"once-{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # an earlier attempt failed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return get


@contextlib.contextmanager
def _only_one(path):
    """Hold a lock on a file; it is let go with the process, however that ends."""
    with path.open("w") as file:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _train_tiny(*arguments):
    from cganjax import cli
    from experiments import train

    assert cli.execute(train.main, [*TINY_FLAGS, *map(str, arguments)]) == 0


@pytest.fixture(scope="session")
def tiny_run(once):
    """The finished tiny run: a run folder of 6 steps with the checkpoints 3 and 6. Copy it before changing it."""
    return once("tiny-run", lambda folder: _train_tiny("--out", folder / "run")) / "run"


@pytest.fixture(scope="session")
def stopped_run(once):
    """The tiny run that was stopped after 3 of its 6 steps. Copy it before going on with it."""
    return once("stopped-run", lambda folder: _train_tiny("--out", folder / "run", "--stop-after", 3)) / "run"


@pytest.fixture(scope="session")
def wheel(once):
    """The wheel of this checkout, built once."""
    import subprocess
    import sys

    def build(folder):
        line = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", folder, ROOT]
        done = subprocess.run([sys.executable, *map(str, line)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    (found,) = once("wheel", build).glob("*.whl")
    return found


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """The folder of compiled programs, for tests that give a process an environment of its own."""
    return os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def command(tmp_path, cache_dir, monkeypatch, capfd):
    """Run a command's main in an empty folder: (module, *arguments) -> (exit code, stdout, stderr)."""
    from cganjax import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CGANJAX_CACHE_DIR", cache_dir)

    def run(module, *arguments):
        capfd.readouterr()
        code = cli.execute(module.main, [str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture
def train_tiny(command):
    """Train the tiny run with more arguments; the exit code, stdout and stderr."""
    from experiments import train

    def run(*arguments):
        return command(train, *TINY_FLAGS, *arguments)

    return run
