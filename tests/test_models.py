"""Each network family against one table of contracts: shapes, parameters, gradients, independence in the batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from cganjax import models, recipes
from cganjax.data import known
from cganjax.models import depth_to_space
from cganjax.training import config as cfg
from cganjax.types import UserError

# recipe -> parameters of G and of D by layer, counted by hand: (inputs + 1) * outputs, no bias in an embedding
COUNTS = {
    "mnist": (
        {
            "Embed_0": 10 * 64,
            "Dense_0": 129 * 256,
            "Dense_1": 257 * 3136,
            "Conv_0": (9 * 64 + 1) * 128,
            "Conv_1": (9 * 32 + 1) * 64,
            "Conv_2": (9 * 64 + 1) * 4,
        },
        {
            "Conv_0": (9 * 4 + 1) * 32,
            "Conv_1": (9 * 128 + 1) * 64,
            "Conv_2": (9 * 64 + 1) * 64,
            "Dense_0": (3136 + 1) * 256,
            "Embed_0": 10 * 256,
            "Dense_1": 256,
        },
    ),
}


@pytest.mark.parametrize("recipe", COUNTS)
def test_parameter_counts_by_layer(recipe):
    config = recipes.load(recipe)
    networks = models.build(config, known.KNOWN[config.dataset])
    for network, want in zip((networks.generator, networks.discriminator), COUNTS[recipe], strict=True):
        params = jax.eval_shape(network.init, jax.random.key(0)).params
        count = {name: sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(layer)) for name, layer in params.items()}
        assert count == want


def test_shapes_ranges_and_batch_independence(tiny):
    config, networks = tiny
    z, labels = jax.random.normal(jax.random.key(0), (5, networks.latent_size)), jnp.array([0, 3, 3, 9, 1])
    g, d = networks.generator.init(jax.random.key(1)), networks.discriminator.init(jax.random.key(2))
    images = networks.generator.apply(g, z, labels)
    assert images.shape == (5, 28, 28, 1) and images.dtype == jnp.float32
    assert float(jnp.abs(images).max()) <= 1.0
    scores = networks.discriminator.apply(d, images, labels)
    assert scores.shape == (5,)
    for i in (0, 4):
        alone = networks.generator.apply(g, z[i : i + 1], labels[i : i + 1])
        assert_allclose(alone[0], images[i], atol=1e-5)
        assert_allclose(networks.discriminator.apply(d, alone, labels[i : i + 1])[0], scores[i], atol=1e-4)


def test_the_label_matters_to_both(tiny):
    _, networks = tiny
    g, d = networks.generator.init(jax.random.key(1)), networks.discriminator.init(jax.random.key(2))
    z = jnp.ones((2, networks.latent_size))
    images = networks.generator.apply(g, z, jnp.array([2, 5]))
    assert float(jnp.abs(images[0] - images[1]).max()) > 1e-3
    same = jnp.stack([images[0], images[0]])
    scores = networks.discriminator.apply(d, same, jnp.array([2, 5]))
    assert abs(float(scores[0] - scores[1])) > 1e-4


def test_every_parameter_gets_a_finite_gradient(tiny):
    _, networks = tiny
    g, d = networks.generator.init(jax.random.key(1)), networks.discriminator.init(jax.random.key(2))
    labels = jnp.arange(10)
    z = jax.random.normal(jax.random.key(3), (10, networks.latent_size))
    gradients = jax.grad(
        lambda g, d: networks.discriminator.apply(d, networks.generator.apply(g, z, labels), labels).sum(), (0, 1)
    )(g, d)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path


def test_depth_to_space_places_each_channel_and_is_undone():
    x = jnp.arange(2 * 3 * 3 * 8, dtype=jnp.float32).reshape(2, 3, 3, 8)
    y = depth_to_space.depth_to_space(x)
    assert y.shape == (2, 6, 6, 2)
    assert_allclose(y[1, 2 * 2 + 1, 2 * 0 + 1], x[1, 2, 0, 6:8])  # lower right pixel: the last group of channels
    assert_allclose(depth_to_space.space_to_depth(y), x)


def test_unknown_family_and_setting_are_refused():
    with pytest.raises(UserError, match="known are " + ", ".join(models.FAMILIES)):
        models.build(cfg.override(recipes.load("mnist"), ["family=nonsense"]), known.KNOWN["mnist"])
    with pytest.raises(UserError, match="do not fit"):
        models.build(
            dataclasses.replace(recipes.load("mnist"), generator={"latent_size": 4, "depth": 3}), known.KNOWN["mnist"]
        )
