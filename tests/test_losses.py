"""Losses and penalties against closed forms and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from cganjax.training import losses
from cganjax.types import Weights


def test_relativistic_losses_match_the_logistic_of_the_margin():
    real, fake = np.array([2.0, -1.0, 0.5]), np.array([-0.5, 3.0, 0.5])
    # log(1 + e^-m) with m = real - fake for D, and -m for G
    want_d = np.log1p(np.exp(-(real - fake)))
    want_g = np.log1p(np.exp(real - fake))
    assert_allclose(losses.relativistic_discriminator(jnp.array(real), jnp.array(fake)), want_d, rtol=1e-6)
    assert_allclose(losses.relativistic_generator(jnp.array(real), jnp.array(fake)), want_g, rtol=1e-6)
    assert want_d[0] < want_g[0], "D is content where real scores above fake"
    assert_allclose(want_d[2], np.log(2))


def test_losses_stay_finite_at_extreme_scores():
    big = jnp.array([1e4, -1e4])
    for loss in (losses.relativistic_discriminator, losses.relativistic_generator):
        assert np.isfinite(loss(big, -big)).all()


def test_penalty_of_a_linear_score_is_its_squared_norm():
    w = jax.random.normal(jax.random.key(0), (4, 4, 1))
    images = jax.random.normal(jax.random.key(1), (3, 4, 4, 1))

    def score(w, x, unit):
        return jnp.sum(x * w[None], axis=(1, 2, 3)) + 5.0 * unit

    scores, penalty, pullback = losses.vjp_with_gradient_penalty(score, w, images)
    assert_allclose(scores, score(w, images, 1.0))
    assert_allclose(penalty, np.full(3, np.sum(np.square(w))), rtol=1e-6)
    # d/dw of sum_i c_i <w, x_i> + w_i/2 |w|^2
    c, by = jnp.array([1.0, -2.0, 0.0]), jnp.array([0.0, 3.0, 0.5])
    assert_allclose(pullback(c, by), jnp.tensordot(c, images, 1) + by.sum() * w, rtol=1e-5)


def test_penalty_matches_finite_differences_of_a_network(tiny):
    _, networks = tiny
    weights, images, labels, score = _network_score(networks)
    penalty = losses.vjp_with_gradient_penalty(score, weights.params, images).penalties
    # ||g||^2 is the slope of the score along g itself.
    unit = jnp.ones(4)
    gradient = jax.grad(lambda x: score(weights.params, x, unit).sum())(images)
    direction = gradient / jnp.sqrt(jnp.sum(jnp.square(gradient), axis=(1, 2, 3), keepdims=True))
    h = 1e-2
    slope = score(weights.params, images + h * direction, unit) - score(weights.params, images - h * direction, unit)
    assert_allclose(np.square(slope / (2 * h)), penalty, rtol=3e-2)
    assert float(penalty.min()) > 0


def test_the_pullback_is_what_differentiating_twice_gives(tiny):
    _, networks = tiny
    weights, images, labels, score = _network_score(networks)
    c, by = jnp.array([0.3, -0.7, 0.0, 1e-6]), jnp.array([2.0, 0.1, 1.0, 0.0])

    def twice(params):
        def plain(x):
            return networks.discriminator.apply(Weights(params, {}), x, labels)

        gradient = jax.grad(lambda x: plain(x).sum())(images)
        return jnp.sum(c * plain(images) + by / 2 * jnp.square(gradient).sum(axis=(1, 2, 3)))

    want = jax.grad(twice)(weights.params)
    got = losses.vjp_with_gradient_penalty(score, weights.params, images).pullback(c, by)
    for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(got), strict=True):
        assert_allclose(b, a, rtol=1e-4, atol=1e-5 * float(jnp.abs(a).max()))


def test_the_scaled_discriminator_is_homogeneous(tiny):
    _, networks = tiny
    weights, images, labels, score = _network_score(networks)
    unit, by = jnp.array([0.5, 1.0, 2.0, 3.0]), jnp.array([2.0, 0.1, 5.0, 1.0])
    scaled = score(weights.params, by[:, None, None, None] * images, by * unit)
    assert_allclose(scaled, by * score(weights.params, images, unit), rtol=1e-4, atol=1e-5)
    plain = networks.discriminator.apply(weights, images, labels)
    assert_allclose(score(weights.params, images, jnp.ones(4)), plain, rtol=1e-6)
    assert np.abs(score(weights.params, images, unit) - plain)[[0, 2, 3]].min() > 1e-4, "biases count"


def _network_score(networks):
    weights = networks.discriminator.init(jax.random.key(3))
    # Biases begin at 0, where scaling them shows nothing.
    shapes = jax.tree.map(lambda p: 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), weights.params)
    weights = Weights(jax.tree.map(jnp.add, weights.params, shapes), {})
    labels = jnp.array([7, 2, 0, 0])
    images = jax.random.uniform(jax.random.key(4), (4, 28, 28, 1), minval=-1.0)

    def score(params, x, unit):
        return networks.discriminator.scaled(Weights(params, {}), unit, x, labels)

    return weights, images, labels, score
