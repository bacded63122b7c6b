"""Losses and penalties per example; they know no optimiser, no log and no device.

Each is minimised by its owner. The mean over the batch is taken by the step.
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
      float [N], >= 0; log 2 where D cannot tell the pair apart.

    References:
      Jolicoeur-Martineau, "The relativistic discriminator" (arXiv 1807.00734); Huang et al., "The GAN is dead;
      long live the GAN! A modern GAN baseline" (R3GAN, arXiv 2501.05441), eq. 2 with f(t) = -log(1 + exp(-t)).
    """
    return jax.nn.softplus(score_fake - score_real)


def relativistic_generator(score_real: jax.Array, score_fake: jax.Array) -> jax.Array:
    """G's side of the same game, softplus(-(D(G(z)) - D(x))): float [N], from scores [N] and [N]."""
    return jax.nn.softplus(score_real - score_fake)


class PenalisedScores(NamedTuple):
    """What `vjp_with_gradient_penalty` gives."""

    scores: jax.Array  # [N]
    penalties: jax.Array  # [N], ||grad_x score(x)||^2 >= 0
    # (cotangents [N], weights [N]) -> d/d params of sum_i cotangents_i scores_i + weights_i / 2 penalties_i
    pullback: Callable[[jax.Array, jax.Array], Params]


def vjp_with_gradient_penalty(
    score: Callable[[Params, jax.Array, jax.Array], jax.Array], params: Params, images: jax.Array
) -> PenalisedScores:
    """D's scores, the squared norm of D's gradient at each image, and the gradient of both in D's parameters.

    On real images the mean of the penalty is R1, on generated ones R2; each enters D's loss with gamma / 2.

    Differentiating the penalty as it stands costs two more passes backward. A score without normalisation, with
    (leaky) ReLU between affine layers, is piecewise linear, and with its biases multiplied by `unit` homogeneous, in
    (image, unit). So with v = grad_x score, held constant, c_i score_i + w_i/2 |v_i|^2 has the gradient of one
    directional derivative, Dscore(x_i, 1)[c_i x_i + w_i v_i, c_i]: by Euler's theorem of its first part, and of the
    second since masks do not move. Its backward pass is that of v over again, which the compiler computes once. In all
    two passes forward, one backward, and one product a layer for the parameters: 4 where double differentiation takes
    6, and 3 is what a loss without a penalty takes.

    Args:
      score: (params, images [N, ...], unit [N]) -> scores [N], homogeneous of degree 1 in (image, unit) and piecewise
        linear; example i must depend on image i and unit i alone. At unit 1 it is D.
      params: of D.
      images: float [N, ...].

    References:
      Mescheder et al., "Which training methods for GANs do actually converge?" (arXiv 1801.04406), eq. 9 and 10;
      R3GAN (arXiv 2501.05441), eq. 3. The one directional derivative is ours.
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
      maximise log D(G(z))), which does not saturate.
    """
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, targets), axis=-1)


def sigmoid_squared_error(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Squared difference between the sigmoid of each logit and its target, the mean over outputs: [N, K] -> [N]."""
    return jnp.mean(jnp.square(jax.nn.sigmoid(logits) - targets), axis=-1)


# --- the theory of the original GAN -----------------------------------------------------------------------------------


def optimal_discriminator(p: jax.Array, q: jax.Array) -> jax.Array:
    """D* = p / (p + q), of the densities of real and of generated data at the same places: float [...] -> [...].

    What a discriminator trained to convergence by `sigmoid_cross_entropy` answers; 1/2 wherever p = q.

    References:
      Goodfellow et al. (arXiv 1406.2661), proposition 1.
    """
    return p / (p + q)


def gan_value(d: jax.Array, p: jax.Array, q: jax.Array) -> jax.Array:
    """V(D) = E_p[log D] + E_q[log(1 - D)], over places of probability p (real) and q (generated): [...] -> [].

    Its maximum over D is -log 4 + 2 JSD(p, q), so it is -log 4 where G has reached the data.

    References:
      Goodfellow et al. (arXiv 1406.2661), eq. 1 and theorem 1.
    """
    return jnp.sum(p * jnp.log(d)) + jnp.sum(q * jnp.log1p(-d))
