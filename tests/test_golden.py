"""Moving code moves no bits: samples, networks, training steps and runs are what they were (see golden.py)."""

import zipfile
from pathlib import Path

import golden
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cganjax import models, recipes, rng
from cganjax.data import known
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.types import Batch

pytestmark = pytest.mark.usefixtures("optimised")

# A small run of each algorithm and each network family: recipe, and settings that make it small.
RUNS = {
    "digits": [
        "generator.hidden=16",
        "generator.width_7=8",
        "generator.width_14=8",
        "discriminator.width_14=4",
        "discriminator.width_7=8",
        "discriminator.hidden=16",
        "penalty_fraction=0.5",
        "mismatch_fraction=0.5",
    ],
    "label_score": [],
    "mlp_gan": [],
    "pattern_1010": [],
    "lenet5": [],
    "surrogate_robust": [
        "classifier.width_14=4",
        "classifier.width_7=4",
        "classifier.hidden=8",
        "shift=1",
        "rotation=10",
        "noise=0.3",
        "adversary_steps=2",
    ],
    "surrogate_mlp": ["classifier.hidden=8"],
    "surrogate_strided_moved": ["classifier.width=4"],
    "target_residual": ["classifier.width=4"],
    "target_wide": ["classifier.width_14=4", "classifier.width_7=8", "classifier.hidden=8"],
}


def small_run(recipe):
    """Config, networks and a batch of that recipe."""
    config = cfg.override(recipes.load(recipe), [*RUNS[recipe], "batch_size=4"])
    networks = models.build(config, known.KNOWN[config.dataset])
    images = np.random.default_rng(0).integers(0, 256, (4, *networks.image_shape)).astype(np.uint8)
    return config, networks, Batch(jnp.asarray(images), jnp.arange(4, dtype=jnp.int32))


def trained(recipe):
    """The first state of a small run, and its state and what it observed after two steps."""
    config, networks, batch = small_run(recipe)
    trainer, key = algorithms.build(config, networks), rng.root(config.seed)
    first = state = jax.jit(trainer.init)(key)
    step, infos = jax.jit(trainer.step), []
    for _ in range(2):
        state, info = step(key, state, batch)
        infos.append(info)
    return first, state, infos


def of_run(recipe):
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        first, state, infos = trained(recipe)
    found = {
        "infos": np.array(infos, np.float64),
        "sizes": golden.sizes((first, state)),
        "bits": golden.bits((first, state)),
    }
    return {f"{'bits ' if name == 'bits' else ''}{name} of {recipe}": value for name, value in found.items()}


def everything():
    found = golden.shipped() | golden.data_sets()
    for recipe in RUNS:
        found |= of_run(recipe)
    return found


@pytest.fixture(scope="module")
def recorded():
    with np.load(golden.FILE) as arrays:
        return dict(arrays)


def compare(found, recorded):
    same_machine = str(recorded["environment"]) == golden.environment()
    for name, value in found.items():
        if name.startswith("bits"):
            assert not same_machine or np.array_equal(value, recorded[name]), f"{name} changed"
        elif value.dtype.kind == "U":
            assert value == recorded[name], name
        else:
            np.testing.assert_allclose(value, recorded[name], rtol=2e-3, atol=1e-4, err_msg=name)


def test_shipped_checkpoints_give_the_same_images_and_outputs(recorded):
    compare(golden.shipped(), recorded)


def test_data_sets_have_the_same_rows(recorded):
    compare(golden.data_sets(), recorded)


# The small ones by default; `python -m pytest -m slow` compares the rest.
FAST = ("digits", "pattern_1010", "surrogate_mlp")


@pytest.mark.parametrize("recipe", [pytest.param(r, marks=() if r in FAST else pytest.mark.slow) for r in RUNS])
def test_two_steps_of_training_are_the_same(recipe, recorded):
    compare(of_run(recipe), recorded)


def test_a_run_of_an_older_version_resumes_to_the_same_bits(tmp_path, command):
    """tests/old_run.zip was made by commit d506369: three steps of six, and what the six gave there."""
    from conftest import TINY

    from experiments import train

    with zipfile.ZipFile(Path(__file__).with_name("old_run.zip")) as archive:
        archive.extractall(tmp_path)
    sets = [part for setting in TINY for part in ("--set", setting)]
    code, out, _ = command(train, "--recipe", "digits", *sets, "--out", "old_run", "--devices", "1")
    assert code == 0 and "from step 3 to 6" in out
    from cganjax import sampling

    _, parts = sampling.read_run(Path("old_run"))
    with np.load(tmp_path / "after_six_steps.npz") as arrays:
        compare({"bits": golden.bits(parts), "sizes": golden.sizes(parts)}, dict(arrays))
