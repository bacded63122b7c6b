"""Each training algorithm against one table of contracts: a step, its state through a checkpoint, pure under `vmap`."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from cganjax import metrics, models, recipes, rng, run_states
from cganjax.models import Networks, Settings
from cganjax.spec import ImageSpec
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.types import Batch

SPEC = ImageSpec(8, 4, 3, ("left", "right", "both"))
G = {"latent_size": 4, "embedding": 3, "hidden": 8, "width_7": 4, "width_14": 4}
D = {"width_14": 3, "width_7": 4, "hidden": 8}
C = {"width_14": 3, "width_7": 4, "hidden": 8}
N, STEPS, SEEDS = 4, 3, 4


def gan():
    return models.build(Settings("depth_to_space", generator=G, discriminator=D), SPEC)


def classifier():
    return models.build(Settings("cnn", classifier=C), SPEC)


def gan_of_sigmoids() -> Networks:
    """A small conditional GAN with BatchNorm whose D scores every class, as the published systems' do."""
    d = models.build(Settings("all_cnn", classifier={"width": 3}), SPEC).classifier
    return gan()._replace(discriminator=d, scores="sigmoid")


# algorithm -> its config, with every setting at work, and networks for it
SUBJECTS = {
    "relativistic": (
        cfg.override(recipes.load("digits"), ["mismatch_fraction=0.5", "latent_std=0.9"]),
        gan,
    ),
    "target": (cfg.override(recipes.load("label_score"), ["gen_steps=2"]), gan_of_sigmoids),
    "classification": (cfg.override(recipes.load("lenet5"), ["epoch_steps=2", "plateau_patience=0"]), classifier),
    "augmented_classification": (
        cfg.override(
            recipes.load("surrogate_noisy"), ["adversary_epsilon=0.1", "adversary_steps=1", "rotation=10", "steps=9"]
        ),
        classifier,
    ),
}


def batch_of(step):
    random = np.random.default_rng(step)
    images = random.integers(0, 256, (N, *SPEC.shape)).astype(np.uint8)
    return Batch(jnp.asarray(images), jnp.asarray(random.integers(0, SPEC.num_classes, N).astype(np.int32)))


class Trained(NamedTuple):
    """One algorithm, and `STEPS` steps of it from each of several seeds."""

    trainer: algorithms.Trainer
    states: list  # of seed i, after all steps
    infos: list  # of seed i, of each step


@pytest.fixture(scope="module", params=SUBJECTS)
def trained(request):
    config, networks = SUBJECTS[request.param]
    config = dataclasses.replace(config, batch_size=N)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        trainer = algorithms.build(config, networks())
        init, step = jax.jit(trainer.init), jax.jit(trainer.step)
        states, infos = [], []
        for seed in range(SEEDS):
            key = rng.root(seed)
            state, seen = init(key), []
            for i in range(STEPS):
                state, info = step(key, state, batch_of(i))
                seen.append(info)
            states.append(state)
            infos.append(seen)
        yield Trained(trainer, states, infos)


def floats(tree: Any) -> np.ndarray:
    """All floating numbers of a tree as one vector."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in leaves])


def test_the_table_has_every_algorithm():
    assert SUBJECTS.keys() == algorithms.ALGORITHMS.keys()
    assert all(config.algorithm == name for name, (config, _) in SUBJECTS.items())


def test_steps_count_up_stay_finite_and_learn(trained):
    for state, infos in zip(trained.states, trained.infos, strict=True):
        assert int(state.step) == STEPS
        assert np.isfinite(floats(state)).all() and np.isfinite(floats(infos)).all()
        assert all(np.shape(value) == () for info in infos for value in info)
    before, after = jax.jit(trained.trainer.init)(rng.root(0)).weights(), trained.states[0].weights()
    assert before.keys() == after.keys() <= {"generator", "discriminator", "classifier"}
    for role in after:
        moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), before[role].params, after[role].params)
        assert min(jax.tree.leaves(moved)) > 0, f"a parameter of the {role} did not move"


def test_what_a_step_observes_is_described_and_ranks_checkpoints(trained):
    names = trained.infos[0][0]._fields
    assert {*names} <= metrics.METRICS.keys()
    assert sum(metrics.METRICS[name].ranks for name in names) == 1
    values = trained.infos[0][0]._asdict()
    assert metrics.ranking(values) is values["loss_generator" if "loss_generator" in values else "loss"]
    assert all(any(name in panel for panel in metrics.panels().values()) for name in names)
    assert {*names} & metrics.shown().keys()


def test_a_state_comes_back_from_a_run_folder_bit_for_bit(trained, tmp_path):
    state = trained.states[0]
    states = run_states.RunStates(tmp_path, keep=1)
    states.save(STEPS, state, loss=0.5)
    restored = states.restore(jax.eval_shape(trained.trainer.init, rng.root(0)))
    states.close()
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True):
        assert a.dtype == b.dtype and np.array_equal(a, b)


def test_seeds_under_vmap_are_separate_runs(trained):
    """`init` and `step` are pure: four seeds in one program are the four runs.

    A batched program sums its products in another order, so values agree up to float32 rounding. Adam and the signs
    of an adversary's steps amplify that rounding for a gradient next to 0, so a few parameters may differ by up to an
    update in each step; hence also the quantile.
    """
    keys = jnp.stack([rng.root(seed) for seed in range(SEEDS)])
    with jax.numpy_dtype_promotion("standard"):
        states = jax.jit(jax.vmap(trained.trainer.init))(keys)
        step, infos = jax.jit(jax.vmap(trained.trainer.step, in_axes=(0, 0, None))), []
        for i in range(STEPS):
            states, info = step(keys, states, batch_of(i))
            infos.append(info)
    for seed in range(SEEDS):
        together = jax.tree.map(lambda x, seed=seed: x[seed], (infos, states.weights()))
        alone = (trained.infos[seed], trained.states[seed].weights())
        assert_allclose(floats(together[0]), floats(alone[0]), rtol=2e-3, atol=1e-4)
        differences = np.abs(floats(together[1]) - floats(alone[1]))
        assert np.quantile(differences, 0.97) < 2e-5 and differences.max() < 2e-2
        assert int(states.step[seed]) == STEPS
    for seed in range(1, SEEDS):
        assert np.abs(floats(trained.states[seed].weights()) - floats(trained.states[0].weights())).max() > 0.01
    assert math.isfinite(float(floats(infos).sum()))
