"""Losses and penalties per example, without optimizers, logs or devices.

Each is minimized by the network that it is named for. The step takes the mean over the batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from cganjax.types import Params


def relativistic_discriminator(score_real: jax.Array, score_fake: jax.Array) -> jax.Array:
    """D's relativistic pairing loss, softplus(-(D(x) - D(G(z)))).

    Args:
      score_real: float [N], D's score of real image i (unbounded; larger is more real).
      score_fake: float [N], D's score of generated image i.

    Returns:
      float [N], >= 0; log 2 if D scores both images of the pair equally.

    References:
      Jolicoeur-Martineau, "The relativistic discriminator" (arXiv 1807.00734); Huang et al., "The GAN is dead;
      long live the GAN! A modern GAN baseline" (R3GAN, arXiv 2501.05441), eq. 2 with f(t) = -log(1 + exp(-t)).
    """
    return jax.nn.softplus(score_fake - score_real)


def relativistic_generator(score_real: jax.Array, score_fake: jax.Array) -> jax.Array:
    """G's relativistic pairing loss, softplus(-(D(G(z)) - D(x))): float [N], from scores [N] and [N]."""
    return jax.nn.softplus(score_real - score_fake)


class PenalisedScores(NamedTuple):
    """The result of `vjp_with_gradient_penalty`."""

    scores: jax.Array  # [N]
    penalties: jax.Array  # [N], ||grad_x score(x)||^2 >= 0
    # (cotangents [N], weights [N]) -> d/d params of sum_i cotangents_i scores_i + weights_i / 2 penalties_i
    pullback: Callable[[jax.Array, jax.Array], Params]


def vjp_with_gradient_penalty(
    score: Callable[[Params, jax.Array, jax.Array], jax.Array], params: Params, images: jax.Array
) -> PenalisedScores:
    """D's scores, the squared norm of D's gradient at each image, and the gradient of both in D's parameters.

    On real images the mean of the penalty is R1, on generated ones R2; each enters D's loss with gamma / 2.

    Differentiating the penalty directly costs two more backward passes. This function avoids them. A score of affine
    layers with (leaky) ReLU between them and no normalization is piecewise linear in the image; with its biases
    multiplied by `unit` it is homogeneous in (image, unit). Hold v = grad_x score constant. Then the gradient of
    c_i score_i + w_i/2 |v_i|^2 is that of one directional derivative, Dscore(x_i, 1)[c_i x_i + w_i v_i, c_i]. For the
    first part this is Euler's theorem; for the second it holds because the masks of the ReLUs do not move. The backward
    pass of the directional derivative is the one that gave v, and the compiler computes it once. The total is two
    forward passes, one backward pass and one product per layer for the parameters: 4 passes, where double
    differentiation takes 6 and a loss without a penalty takes 3.

    Args:
      score: (params, images [N, ...], unit [N]) -> scores [N], homogeneous of degree 1 in (image, unit) and piecewise
        linear; score i must depend only on image i and unit i. At unit 1 it is D.
      params: of D.
      images: float [N, ...].

    References:
      Mescheder et al., "Which training methods for GANs do actually converge?" (arXiv 1801.04406), eq. 9 and 10;
      R3GAN (arXiv 2501.05441), eq. 3. The single directional derivative is ours.
    """
    unit = jnp.ones(len(images), images.dtype)
    scores, to_images = jax.vjp(lambda x: score(params, x, unit), images)
    (v,) = to_images(jnp.ones_like(scores))

    def pullback(cotangents: jax.Array, weights: jax.Array) -> Params:
        def each(x):
            return x.reshape(-1, *(1,) * (images.ndim - 1))

        direction = each(cotangents) * images + each(weights) * v

        def along(params):
            return jax.jvp(lambda x, u: score(params, x, u), (images, unit), (direction, cotangents))[1].sum()

        return jax.grad(along)(params)

    return PenalisedScores(scores, jnp.sum(jnp.square(v), axis=tuple(range(1, images.ndim))), pullback)


def sigmoid_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Binary cross-entropy between the sigmoid of each logit and its target, the mean over an example's outputs.

    Args:
      logits: float [N, K].
      targets: float [N, K] in [0, 1].

    Returns:
      float [N], >= 0.

    References:
      Goodfellow et al., "Generative adversarial nets" (arXiv 1406.2661), eq. 1, with the target 1 for G (section 3:
      maximize log D(G(z))), which does not saturate.
    """
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, targets), axis=-1)


def sigmoid_squared_error(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared difference between the sigmoid of each logit and its target, the mean over outputs: [N, K] -> [N]."""
    return jnp.mean(jnp.square(jax.nn.sigmoid(logits) - targets), axis=-1)


# --- the theory of the original GAN -----------------------------------------------------------------------------------


def optimal_discriminator(p: jax.Array, q: jax.Array) -> jax.Array:
    """D* = p / (p + q), for the densities of real and of generated data at the same points: float [...] -> [...].

    A discriminator that is trained to convergence by `sigmoid_cross_entropy` gives this; it is 1/2 wherever p = q.

    References:
      Goodfellow et al. (arXiv 1406.2661), proposition 1.
    """
    return p / (p + q)


def gan_value(d: jax.Array, p: jax.Array, q: jax.Array) -> jax.Array:
    """V(D) = E_p[log D] + E_q[log(1 - D)], over points of probability p (real) and q (generated): [...] -> [].

    Its maximum over D is -log 4 + 2 JSD(p, q), so it is -log 4 if the densities are equal.

    References:
      Goodfellow et al. (arXiv 1406.2661), eq. 1 and theorem 1.
    """
    return jnp.sum(p * jnp.log(d)) + jnp.sum(q * jnp.log1p(-d))
