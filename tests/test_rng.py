"""Keys are derived: streams differ, items do not depend on how many there are, and a seed reaches every stream."""

import jax
import jax.numpy as jnp
import numpy as np

from cganjax import data, rng
from cganjax.training import algorithms
from cganjax.types import Batch


def bits(key):
    return np.asarray(jax.random.key_data(key))


def test_streams_are_told_apart_by_name_and_key():
    key = rng.root(0)
    names = ("init", "data", "z", "preview", "generator", "discriminator", "labels", "prompt")
    keys = {tuple(bits(rng.stream(k, n))) for n in names for k in (key, rng.root(1))}
    assert len(keys) == 2 * len(names)
    assert (bits(rng.stream(key, "z")) == bits(rng.stream(rng.root(0), "z"))).all()


def test_two_seeds_differ_in_every_stream(tiny, digits):
    config, networks = tiny
    trainer = algorithms.build(config, networks)
    batch = Batch(jnp.asarray(digits.images[:8]), jnp.asarray(digits.labels[:8]))
    step, init = jax.jit(trainer.step), jax.jit(trainer.init)
    first, second = (init(rng.root(seed)) for seed in (0, 1))
    kernels = {
        "init of G": (first.generator.params["Dense_0"]["kernel"], second.generator.params["Dense_0"]["kernel"]),
        "init of D": (first.discriminator.params["Conv_0"]["kernel"], second.discriminator.params["Conv_0"]["kernel"]),
        "data order": tuple(data.epoch_order(rng.stream(rng.root(s), "data"), 0, 100) for s in (0, 1)),
        "next epoch": tuple(data.epoch_order(rng.stream(rng.root(0), "data"), e, 100) for e in (0, 1)),
        # One state, one batch: only z is left to differ.
        "z": tuple(step(rng.root(s), first, batch)[1].score_fake for s in (0, 1)),
        "z of the next step": tuple(
            step(rng.root(0), first._replace(step=jnp.int32(i)), batch)[1].score_fake for i in (0, 1)
        ),
    }
    for name, (a, b) in kernels.items():
        assert not np.array_equal(a, b), name
