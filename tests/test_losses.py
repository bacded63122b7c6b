"""Losses and penalties against closed forms and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from cganjax import losses


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

    def score(x):
        return jnp.sum(x * w[None], axis=(1, 2, 3))

    scores, penalty = losses.score_and_gradient_penalty(score, images)
    assert_allclose(scores, score(images))
    assert_allclose(penalty, np.full(3, np.sum(np.square(w))), rtol=1e-6)


def test_penalty_matches_finite_differences_of_a_network(tiny):
    config, networks = tiny
    params = networks.discriminator.init(jax.random.key(3))
    labels = jnp.array([7, 2])
    images = jax.random.uniform(jax.random.key(4), (2, 28, 28, 1), minval=-1.0)

    def score(x):
        return networks.discriminator.apply(params, x, labels)

    _, penalty = losses.score_and_gradient_penalty(score, images)
    # ||g||^2 is the slope of the score along g itself.
    gradient = jax.grad(lambda x: score(x).sum())(images)
    direction = gradient / jnp.sqrt(jnp.sum(jnp.square(gradient), axis=(1, 2, 3), keepdims=True))
    h = 1e-2
    slope = (score(images + h * direction) - score(images - h * direction)) / (2 * h)
    assert_allclose(np.square(slope), penalty, rtol=2e-2)
    assert float(penalty.min()) > 0
