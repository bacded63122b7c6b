"""Each setting of augmented classification does what its description says: shift, rotation, noise, adversary."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose

from cganjax import augment, models, recipes, rng
from cganjax.spec import ImageSpec
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.training.algorithms import augmented
from cganjax.types import Batch

KEY = rng.root(3)
PLAIN = cfg.override(
    recipes.load("surrogate_mlp"), ["shift=0", "rotation=0", "classifier.hidden=8", "classifier.depth=1", "steps=50"]
)
N, SIDE = 400, 24
MIDDLE = (SIDE - 1) / 2


def blob(row, column):
    """An image of a smooth spot, whose center of mass is easy to follow: [1, SIDE, SIDE, 1]."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    spot = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.5**2))
    return spot[None, :, :, None].astype(np.float32)


def centers(images):
    """The center of mass of each image, relative to the middle: [N, 2] (down, right)."""
    images = np.asarray(images, np.float64)[..., 0]
    places = np.arange(SIDE) - MIDDLE
    mass = images.sum((1, 2))
    return np.stack([(images.sum(2) @ places) / mass, (images.sum(1) @ places) / mass], 1)


def changed(config, images, step=10**6, loss=None):
    labels = jnp.zeros(len(images), jnp.int32)
    return np.asarray(augmented.augmented(config, loss, KEY, jnp.int32(step), jnp.asarray(images), labels))


def test_nothing_is_changed_unless_a_setting_says_so():
    images = jax.random.uniform(KEY, (3, 8, 8, 1))
    assert augmented.augmented(PLAIN, None, KEY, jnp.int32(0), images, None) is images


def test_shift_moves_by_up_to_so_many_pixels_uniformly():
    images = np.repeat(blob(MIDDLE, MIDDLE), N, 0)
    moves = centers(changed(dataclasses.replace(PLAIN, shift=3.0), images))
    assert np.abs(moves).max() < 3.01 and np.abs(moves).max() > 2.8
    # U(-3, 3) on each of two axes: |move| has the mean 1.5 and the standard deviation 3 / sqrt(12).
    tolerance = 4 * 3 / np.sqrt(12) / np.sqrt(N)
    assert_allclose(np.abs(moves).mean(0), 1.5, atol=tolerance)
    assert_allclose(moves.mean(0), 0.0, atol=2 * tolerance)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 4 / np.sqrt(N), "rows and columns are shifted independently"


def test_rotation_turns_about_the_center_by_up_to_so_many_degrees():
    images = np.repeat(blob(MIDDLE, MIDDLE + 7), N, 0)
    down, right = centers(changed(dataclasses.replace(PLAIN, rotation=30.0), images)).T
    assert_allclose(np.hypot(down, right), 7.0, atol=0.05)
    degrees = np.rad2deg(np.arctan2(down, right))
    assert np.abs(degrees).max() < 30.3 and np.abs(degrees).max() > 28.5
    tolerance = 4 * 30 / np.sqrt(12) / np.sqrt(N)
    assert_allclose(np.abs(degrees).mean(), 15.0, atol=tolerance)
    assert_allclose(degrees.mean(), 0.0, atol=2 * tolerance)


@pytest.mark.parametrize(
    "background, image, lowest, highest",
    [
        (0.0, np.zeros((8, 8, 1)), 0.0, 0.0),
        (0.0, np.ones((8, 8, 1)), 0.0, 1.0),
        (1.0, np.ones((8, 8, 1)), 1.0, 1.0),
        (1.0, np.zeros((8, 8, 1)), 0.0, 1.0),
        (None, np.full((8, 8, 3), (0.2, 0.5, 0.9)), 0.2, 0.9),
    ],
)
def test_pixels_from_outside_have_the_color_of_the_background(background, image, lowest, highest):
    images = jnp.tile(jnp.asarray(image, jnp.float32), (20, 1, 1, 1))
    found = augment.moved(KEY, images, 2.0, 20.0, background)
    assert_allclose((found.min(), found.max()), (lowest, highest), atol=1e-6)
    if lowest == highest or background is None:
        assert_allclose(found, images, atol=1e-6)


def test_pixels_from_outside_are_0_unless_told_otherwise():
    images = jax.random.uniform(KEY, (3, 8, 8, 1))
    np.testing.assert_array_equal(augment.moved(KEY, images, 2.0, 20.0), augment.moved(KEY, images, 2.0, 20.0, 0.0))


@pytest.mark.parametrize(
    "spec, background",
    [
        (ImageSpec.numbered(8, 8, 1, 3), 0.0),
        (ImageSpec.numbered(8, 8, 1, 3, polarity="dark_on_light"), 1.0),
        (ImageSpec.numbered(8, 8, 3, 3), None),
    ],
)
def test_the_step_moves_images_on_the_background_of_their_spec(monkeypatch, spec, background):
    assert spec.background == background
    config = dataclasses.replace(PLAIN, shift=2.0, rotation=20.0)
    networks, seen = models.build(config, spec), []
    moved = augment.moved

    def spied(key, images, shift, degrees, outside=0.0):
        seen.append(outside)
        return moved(key, images, shift, degrees, outside)

    monkeypatch.setattr(augment, "moved", spied)
    trainer = algorithms.build(config, networks)
    batch = Batch(jnp.full((2, *spec.shape), 255, jnp.uint8), jnp.arange(2, dtype=jnp.int32))
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        jax.eval_shape(lambda key: trainer.step(key, trainer.init(key), batch), KEY)
    assert seen == [background]


def test_noise_has_an_amplitude_per_image_and_stays_within_0_and_1():
    config = dataclasses.replace(PLAIN, noise=0.4)
    images = np.full((N, SIDE, SIDE, 1), 0.5, np.float32)
    size = np.abs(changed(config, images) - 0.5).max((1, 2, 3))
    assert size.max() <= 0.4 and size.max() > 0.38
    assert_allclose(size.mean(), 0.2, atol=4 * 0.4 / np.sqrt(12) / np.sqrt(N))  # of U(0, 0.4)
    ends = np.repeat(np.array([0.0, 1.0], np.float32), N // 2)[:, None, None, None] * np.ones_like(images)
    noisy = changed(config, ends)
    assert noisy.min() == 0.0 and noisy.max() == 1.0
    # Half of the noise is clipped away; of the other half remains a quarter of the amplitude, 0.05 on average.
    assert_allclose(np.abs(noisy - ends).mean(), 0.05, atol=4 * 0.1 / np.sqrt(12) / np.sqrt(N))


@pytest.fixture(scope="module")
def classifier():
    """A small classifier with weights, and its loss (images, labels) -> [N]."""
    network = models.build(PLAIN, ImageSpec.numbered(8, 8, 1, 3)).classifier
    weights = network.init(KEY)

    def loss(images, labels):
        return optax.softmax_cross_entropy_with_integer_labels(network.apply(weights, images), labels)

    return loss


def test_the_adversary_raises_every_loss_within_its_bounds(classifier):
    images, labels = jax.random.uniform(KEY, (20, 8, 8, 1)), jnp.arange(20) % 3
    losses = {0: classifier(images, labels)}
    for steps in (1, 5):
        config = dataclasses.replace(PLAIN, adversary_epsilon=0.1, adversary_steps=steps)
        found = augmented.augmented(config, classifier, KEY, jnp.int32(10**6), images, labels)
        size = np.abs(found - images).max((1, 2, 3))
        assert found.min() >= 0 and found.max() <= 1
        assert (size <= 0.1 + 1e-6).all() and (size > 0.095).all(), "it goes to its bounds and not beyond"
        losses[steps] = classifier(found, labels)
    assert (losses[1] > losses[0]).all() and (losses[5] > losses[0]).all()
    assert losses[5].mean() > losses[1].mean(), "more steps find more"


@pytest.mark.parametrize("step, fraction", [(0, 0.1), (4, 0.5), (9, 1.0), (49, 1.0)])
def test_the_adversary_grows_over_the_first_fifth_of_the_run(classifier, step, fraction):
    config = dataclasses.replace(PLAIN, adversary_epsilon=0.2, adversary_steps=3)  # of 50 steps
    images, labels = jax.random.uniform(KEY, (4, 8, 8, 1), minval=0.3, maxval=0.7), jnp.arange(4) % 3
    found = augmented.augmented(config, classifier, KEY, jnp.int32(step), images, labels)
    assert_allclose(np.abs(found - images).max(), 0.2 * fraction, rtol=1e-4)


def test_the_step_learns_from_the_augmented_images_anew_each_time():
    config = dataclasses.replace(PLAIN, noise=0.3)
    networks, seen = models.build(config, ImageSpec.numbered(8, 8, 1, 3)), []

    def spied(weights, key, images, labels=None):
        jax.debug.callback(lambda images: seen.append(np.asarray(images)), images)
        return networks.classifier.train(weights, key, images, labels)

    spied = networks._replace(classifier=networks.classifier._replace(train=spied))
    trainer = algorithms.build(config, spied)
    batch = Batch(jnp.full((2, 8, 8, 1), 51, jnp.uint8), jnp.arange(2, dtype=jnp.int32))
    with jax.numpy_dtype_promotion("standard"):  # optax mixes integers with floats
        state, step = jax.jit(trainer.init)(KEY), jax.jit(trainer.step)
        for _ in range(2):
            state, _ = step(KEY, state, batch)
        jax.effects_barrier()
    assert len(seen) == 2 and all(0 < np.abs(images - 0.2).max() <= 0.3 for images in seen)
    assert np.abs(seen[0] - seen[1]).max() > 0, "each step draws its own noise"
