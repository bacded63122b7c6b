"""Stricter than the users' settings: promotions of dtype and rank raise, warnings are errors."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA_DIR = os.environ.get("CGANJAX_DATA_DIR") or (str(_BESIDE) if _BESIDE.is_dir() else None)

# Settings under which a step of the recipe `digits` takes milliseconds.
TINY = """batch_size=8 steps=6 log_every=2 sample_every=3 checkpoint_every=3 generator.latent_size=8
    generator.embedding=4 generator.hidden=16 generator.width_7=8 generator.width_14=8
    discriminator.width_14=4 discriminator.width_7=8 discriminator.hidden=16""".split()


def pytest_configure(config):
    import jax

    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    _let_optax_promote()
    config.addinivalue_line("filterwarnings", "error")
    # Of the libraries below us; none is about our own code.
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:(etils|tensorflow_datasets|promise|orbax).*")


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


@pytest.fixture
def data_dir():
    """The folder with real MNIST, or a skip that says why."""
    if DATA_DIR is None or not (Path(DATA_DIR) / "mnist").is_dir():
        pytest.skip("no real MNIST: set CGANJAX_DATA_DIR to a folder that has mnist/")
    return Path(DATA_DIR)


@pytest.fixture(autouse=True)
def _no_data_dir(monkeypatch):
    """Tests name their data; none finds another set through the environment."""
    monkeypatch.delenv("CGANJAX_DATA_DIR", raising=False)


@pytest.fixture(scope="session")
def tiny():
    """A run so small that a step takes milliseconds: its config, and the networks of it."""
    from cganjax import models, recipes
    from cganjax.data import known
    from cganjax.training import config as cfg

    config = cfg.override(recipes.load("digits"), TINY)
    return config, models.build(config, known.KNOWN[config.dataset])


@pytest.fixture(scope="session")
def digits():
    """The embedded digits' training split."""
    from cganjax import data

    return data.load("digits", "train")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory):
    """Compiled programs of this test run: most trainings of the tests compile the same step."""
    return str(tmp_path_factory.mktemp("cache"))


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
        sets = [part for setting in TINY for part in ("--set", setting)]
        return command(train, "--recipe", "digits", *sets, *arguments)

    return run
