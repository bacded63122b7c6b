"""`pattern_1010`: a tiny GAN whose images are four pixels in a row. Published as a tutorial."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import pytorch
from cganjax.models.supports import Supports
from cganjax.pixels import signed_to_unit, unit_to_signed

SUPPORTS = Supports(shape=(1, 4, 1), fewest_classes=1)
CONDITIONAL = False
SCORES = "sigmoid"
CLASSIFIES = False
SETTINGS = {"latent_size": "size of z"}


class Generator(nn.Module):
    """z [N, L] -> images [N, 1, 4, 1] in [-1, 1]; its input is the constant 0.5, so only N matters of z."""

    num_classes: None

    @nn.compact
    def __call__(self, z: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels, train
        x = jnp.full((z.shape[0], 1), 0.5, z.dtype)  # [N, 1]
        x = nn.sigmoid(pytorch.dense(3, 1)(x))  # [N, 3]
        x = nn.sigmoid(pytorch.dense(4, 3)(x))  # [N, 4] in [0, 1]
        return unit_to_signed(x).reshape(-1, *SUPPORTS.shape)  # [N, 1, 4, 1]


class Discriminator(nn.Module):
    """Images [N, 1, 4, 1] in [-1, 1] -> one logit [N, 1] that they are real."""

    num_classes: None

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels, train
        x = signed_to_unit(images).reshape(-1, 4)  # [N, 4] in [0, 1]
        x = nn.sigmoid(pytorch.dense(3, 4)(x))  # [N, 3]
        return pytorch.dense(1, 3)(x)  # [N, 1]
