"""Eight devices train as one does: every algorithm and recipe, with its statistics and penalties of the whole batch.

This file is also the program that the tests run, as JAX counts its devices once: `python tests/test_devices.py NAME`.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import cganjax
from cganjax import models, parallel, recipes, rng
from cganjax.spec import ImageSpec
from cganjax.training import algorithms, devices
from cganjax.training import config as cfg
from cganjax.types import Batch, UserError

STEPS, IMAGES, DEVICES = 20, 16, 8
# Steps that agree to 1e-5, if not all: training makes rounding grow, of some recipes quickly.
EXACT = {"mnist": 15, "label_map": 2}
# Published systems have fixed sizes; the largest takes a minute for few steps.
STEPS_OF = {"label_map": 2, "label_score": 8}
# Sizes of networks that can be small; those of the published systems are fixed.
SMALL = {
    "latent_size": 8,
    "embedding": 4,
    "hidden": 16,
    "width_7": 8,
    "width_14": 8,
    "width": 8,
    "blocks": 1,
    "depth": 2,
}
SPEC = ImageSpec(28, 28, 1, tuple("0123456789"))
SPECS = {"pattern_1010": ImageSpec(1, 4, 1, ("0",))}


def subject(name):
    """The recipe at its smallest, with each setting at work: the config and the images' spec."""
    config = recipes.load(name)
    changes = {"batch_size": IMAGES, "steps": 2 * STEPS}
    for role in ("generator", "discriminator", "classifier"):
        sizes = getattr(config, role, {})
        if sizes.keys() - {"latent_size"}:
            changes[role] = {key: SMALL[key] for key in sizes}
    if hasattr(config, "mismatch_fraction"):
        changes |= {"mismatch_fraction": 0.5, "penalty_fraction": 0.5, "augment": 0.4}
    if hasattr(config, "epoch_steps"):
        changes |= {"epoch_steps": 5}
    if hasattr(config, "adversary_steps"):
        changes |= {"adversary_steps": min(2, config.adversary_steps)}
    return dataclasses.replace(config, **changes), SPECS.get(config.family, SPEC)


def batch_of(step, spec):
    random = np.random.default_rng(step % 4)
    images = random.integers(0, 256, (IMAGES, *spec.shape)).astype(np.uint8)
    return Batch(images, random.integers(0, spec.num_classes, IMAGES).astype(np.int32))


def curve(name, count):
    """What each step observed on so many devices: [STEPS, fields]."""
    config, spec = subject(name)
    algorithm, key = algorithms.build(config, models.build(config, spec)), rng.root(0)
    spread = parallel.Spread(count)
    step, state, infos = spread.jit(algorithm.step), spread.place(jax.jit(algorithm.init)(key)), []
    for i in range(STEPS_OF.get(name, STEPS)):
        state, info = step(key, state, batch_of(i, spec))
        infos.append([float(value) for value in info])
    used = {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(state)}
    assert used == {count}, used
    return infos


def main(names):
    """Print the curves of one device and of eight, as one JSON object of a recipe per line."""
    for name in names:
        print(json.dumps({"name": name, "one": curve(name, 1), "eight": curve(name, DEVICES)}), flush=True)


def assert_same_curves(names, **environment):
    line = [sys.executable, __file__, *names]
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}"}
    root = str(Path(cganjax.__file__).parents[1])
    env = os.environ | flags | {"PYTHONPATH": root} | environment
    done = subprocess.run(line, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [curves["name"] for curves in found] == names
    for curves in found:
        one, eight = np.array(curves["one"]), np.array(curves["eight"])
        assert np.ptp(one[:, 0]) > 0, "it learns something"
        exact = EXACT.get(curves["name"], STEPS)
        np.testing.assert_allclose(eight[:exact], one[:exact], rtol=1e-5, atol=1e-5, err_msg=curves["name"])
        np.testing.assert_allclose(eight, one, rtol=5e-3, atol=5e-3, err_msg=curves["name"])


def test_eight_devices_train_as_one():
    """R1, R2 and mismatched pairs over the whole batch: neighbours in it may be on two devices."""
    assert_same_curves(["digits"])


FIXED = [name for name in recipes.names() if not recipes.needs_data(name)]
QUICK = ("digits_judge", "lenet5", "pattern_1010", "mnist_fast")  # each algorithm once


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in FIXED]
)
def test_eight_devices_train_every_recipe_as_one(name):
    """BatchNorm, dropout and the plateau schedule too. With XLA's optimisations, as users see them."""
    assert_same_curves([name], JAX_DISABLE_MOST_OPTIMIZATIONS="0")


def test_every_algorithm_is_in_the_comparison():
    assert {recipes.load(name).algorithm for name in FIXED} == algorithms.ALGORITHMS.keys()


def test_a_batch_that_cannot_be_shared_is_refused_in_one_sentence():
    with pytest.raises(UserError, match="devices is 2: expected a divisor of the batch_size, 1$"):
        devices.choose(recipes.load("pattern_1010"), 2, None)
    with pytest.raises(UserError, match="devices is 8: expected a divisor of the batch_size, 12$"):
        devices.choose(cfg.override(recipes.load("digits"), ["batch_size=12"]), 8, None)


if __name__ == "__main__":
    main(sys.argv[1:])
