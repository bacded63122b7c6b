"""`augment`: what D sees is changed at random, the same way for real and for generated images, and samples are not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from cganjax import pixels, recipes, rng, views
from cganjax.models import Network, Networks
from cganjax.spec import ImageSpec
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.types import Batch, UserError, Weights

KEY = rng.root(3)
SHAPES = [(28, 28, 1), (32, 32, 3), (5, 8, 1)]
CHANGES = [views.changed, views.moved, views.recoloured, views.covered]


def some(shape, n=6):
    return jax.random.uniform(rng.root(1), (n, *shape), minval=-1.0)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("shape", SHAPES)
def test_probability_0_leaves_the_images_and_1_changes_each(change, shape):
    images = some(shape)
    assert_array_equal(change(KEY, images, 0.0), images)
    found = change(KEY, images, 1.0)
    assert found.shape == images.shape and found.dtype == images.dtype
    assert (np.abs(found - images).max((1, 2, 3)) > 0.01).all()


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_gives_the_same_changes_and_another_others(change):
    images = some((28, 28, 1))
    assert_array_equal(change(KEY, images, 0.5), change(KEY, images, 0.5))
    assert np.abs(change(KEY, images, 0.5) - change(rng.root(4), images, 0.5)).max() > 0.01
    # Each image has its own.
    found = np.asarray(change(KEY, jnp.repeat(images[:1], 6, 0), 1.0))
    assert len(np.unique(found.reshape(6, -1), axis=0)) == 6


@pytest.mark.parametrize("change", CHANGES[1:])
@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 3)])
def test_gradients_are_those_of_finite_differences(change, shape):
    with jax.numpy_dtype_promotion("standard"):
        check_grads(lambda images: change(KEY, images, 0.7), (some(shape, 3),), order=1, modes=["fwd", "rev"], eps=0.1)


@pytest.mark.parametrize("change", CHANGES)
def test_the_probability_is_that_of_each_change(change):
    n = 2000
    images = jnp.repeat(some((8, 8, 1), 1), n, 0)
    alone = np.mean(np.abs(change(KEY, images, 0.3) - images).max((1, 2, 3)) < 1e-6)
    # A mirror leaves half of its images; a shift within half a pixel leaves them too; 1 pixel is the largest of 8.
    of_move = 0.85 * (1 - 0.3 * 0.5) ** 2 * 0.7
    want = {
        views.moved: of_move,
        views.recoloured: 0.7**2,
        views.covered: 0.7,
        views.changed: of_move * 0.7**3,
    }[change]
    assert_allclose(alone, want, atol=4 * np.sqrt(want * (1 - want) / n))


def lines(side, stretch, shift):
    values = (jnp.asarray([v], jnp.float32) for v in (stretch, shift))
    return np.asarray(views._line(side, *values))[0]


def test_lines_shift_mirror_and_zoom_as_other_libraries_do():
    line = np.random.default_rng(0).normal(size=9).astype(np.float32)
    for shift in (-3, 0, 2):
        assert_array_equal(lines(9, 1, shift) @ line, np.pad(line, 3, mode="reflect")[3 - shift : 12 - shift])
    assert_array_equal(lines(9, -1, 0) @ line, line[::-1])
    for zoom, shift in ((1.2, 0), (0.8, 1), (0.8, -2)):
        places = 4 + (np.arange(9) - 4) / zoom - shift
        want = ndimage.map_coordinates(line, places[None], order=1, mode="mirror")
        assert_allclose(lines(9, 1 / zoom, shift) @ line, want, atol=1e-5)


def test_moves_reach_their_sizes_and_no_further():
    dot = jnp.zeros((3000, 17, 17, 1)).at[:, 8, 8].set(1.0)  # in the middle, where a mirror and a zoom leave it
    found = np.asarray(views.moved(KEY, dot, 1.0))[..., 0]
    rows, columns = found.max(2).argmax(1) - 8, found.max(1).argmax(1) - 8
    assert {*rows} == {*columns} == {-2, -1, 0, 1, 2}
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 4 / np.sqrt(3000)
    line = jnp.zeros((3000, 17, 17, 1)).at[:, :, 4].set(1.0)
    side = np.asarray(views.moved(KEY, line, 0.8))[..., 0].sum(1) @ np.sign(np.arange(17) - 8)
    assert_allclose((side < 0).mean(), 0.6, atol=4 * 0.5 / np.sqrt(3000))  # mirrored: .8 / 2


def test_colours_reach_their_sizes_and_no_further():
    images = jnp.repeat(jnp.asarray([[[[0.5, 0.2, -0.1]]]], jnp.float32), 4000, 0)
    found = np.asarray(views.recoloured(KEY, images, 1.0), np.float64)[:, 0, 0]
    contrast = (found.mean(1) - found.mean(1).min()) / 0.2  # of the grey, apart from the brightness
    assert contrast.max() < (0.2 * (2**0.5 - 2**-0.5) + 0.6) / 0.2 + 1e-3
    spread = np.log2((found[:, 0] - found[:, 2]) / 0.6)  # saturation x contrast
    assert np.abs(spread).max() < 1.5 and spread.max() > 1.4 and spread.min() < -1.4
    grey = views.recoloured(KEY, jnp.zeros((4000, 1, 1, 1)), 1.0)
    assert_allclose((grey.min(), grey.max()), (-views.BRIGHTNESS, views.BRIGHTNESS), atol=0.01)


def test_a_hole_is_a_square_of_half_the_side_anywhere():
    found = np.asarray(views.covered(KEY, jnp.ones((2000, 16, 16, 1)), 1.0))[..., 0]
    assert set(np.unique(found)) == {0.0, 1.0}
    covered = (found == 0).sum((1, 2))
    assert covered.max() == 8 * 8 and covered.min() < 30
    assert ((found == 0).mean(0) > 0.04).all(), "the corners too"


# --- the step ---------------------------------------------------------------------------------------------------------

CONFIG = cfg.override(
    recipes.load("digits"),
    ["batch_size=32", "steps=800", "learning_rate=0.02", "ema_decay=0.95", "penalty_fraction=0.5", "augment=0.4"],
)
SIDE, HIDDEN = 8, 64


def corners(n):
    """Class 0: a light square above on the left, on black. Class 1: a darker one below, still on the left."""
    labels = np.arange(n) % 2
    images = np.zeros((n, SIDE, SIDE, 1), np.uint8)
    images[labels == 0, 1:4, 1:4] = 230
    images[labels == 1, 4:7, 1:4] = 150
    return Batch(jnp.asarray(images), jnp.asarray(labels, jnp.int32))


def small_networks():
    """G: one image per class and how it varies with z. D: a layer of leaky ReLUs, and a linear one for each class."""
    pixel, size = SIDE * SIDE, 4

    def normal(key, *shape):
        return jax.random.normal(key, shape) / np.sqrt(shape[-2], dtype=np.float32)

    def first_g(key):
        key_mean, key_z = jax.random.split(key)
        return Weights({"mean": normal(key_mean, 2, pixel), "z": 0.1 * normal(key_z, 2, size, pixel)}, {})

    def generate(weights, z, labels):
        flat = weights.params["mean"][labels] + jnp.einsum("nl,nlp->np", z, weights.params["z"][labels])
        return flat.reshape(-1, SIDE, SIDE, 1)

    def first_d(key):
        key_in, key_out = jax.random.split(key)
        inner = {"in": normal(key_in, pixel, HIDDEN), "bias": jnp.zeros((1, HIDDEN))}
        return Weights(inner | {"out": normal(key_out, 2, HIDDEN)}, {})

    def scaled(weights, unit, images, labels):
        p = weights.params
        hidden = images.reshape(len(images), -1) @ p["in"] + unit[:, None] * p["bias"]
        return (jax.nn.leaky_relu(hidden, 0.2) * p["out"][labels]).sum(-1)

    def score(weights, images, labels):
        return scaled(weights, jnp.ones(len(images)), images, labels)

    g = Network(first_g, generate, None, None, None)
    d = Network(first_d, score, None, None, scaled)
    return Networks(g, d, None, "unbounded", size, 2, ImageSpec.numbered(SIDE, SIDE, 1, 2))


def samples(config):
    """200 samples of the averaged G after training on `corners`, in [0, 1]."""
    networks = small_networks()
    trainer = algorithms.build(config, networks)
    step, state, batch = jax.jit(trainer.step), jax.jit(trainer.init)(KEY), corners(config.batch_size)
    for _ in range(config.steps):
        state, _ = step(KEY, state, batch)
    z, labels = jax.random.normal(rng.root(9), (200, networks.latent_size)), jnp.arange(200) % 2
    return np.asarray(pixels.signed_to_unit(networks.generator.apply(Weights(state.generator_ema, {}), z, labels)))


def test_samples_inherit_no_change():
    """It fails if only real images are changed (0.16 and 0.25), or only generated ones (0.089 and 0.075)."""
    found, want = samples(CONFIG), np.asarray(pixels.rest_to_unit(corners(200).images))
    assert np.abs(found - want).mean() < 0.077  # 0.064
    assert_allclose(found.mean((1, 2, 3)), want.mean((1, 2, 3)), atol=0.12)  # 0.074


def test_each_step_changes_real_and_generated_images_by_keys_of_their_own(monkeypatch):
    seen, changed = [], views.changed

    def spied(key, images, probability):
        jax.debug.callback(lambda *given: seen.append(given), jax.random.key_data(key), images, probability)
        return changed(key, images, probability)

    monkeypatch.setattr(views, "changed", spied)
    trainer = algorithms.build(dataclasses.replace(CONFIG, steps=10), small_networks())
    state, batch, step = jax.jit(trainer.init)(KEY), corners(32), jax.jit(trainer.step)
    for _ in range(3):
        state, _ = step(KEY, state, batch)
        jax.effects_barrier()
    assert len(seen) == len({tuple(key.tolist()) for key, _, _ in seen}) == 6, "two in each step, none twice"
    real = pixels.rest_to_signed(batch.images)
    assert [np.array_equal(images, real) for _, images, _ in seen].count(True) == 3
    # It grows over the first fifth: two of the ten steps.
    assert_allclose([probability for _, _, probability in seen], [0.2, 0.2, 0.4, 0.4, 0.4, 0.4], rtol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 0.9, float("nan")])
def test_a_probability_at_which_changes_leak_is_refused(value):
    with pytest.raises(UserError, match=r"augment .*within 0 and 0\.8"):
        cfg.check(dataclasses.replace(recipes.load("digits"), augment=value))
