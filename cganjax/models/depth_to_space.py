"""`depth_to_space`: the flagship's networks: many channels on grids of half and of a quarter of the image's side.

Blocks of 2x2 pixels are rearranged into channels and back, so no transposed convolution is needed. The names `width_7`
and `width_14` come from MNIST, where the grids are 7x7 and 14x14; any height and width divisible by 4 work.

A 3x3 convolution costs grid x grid x channels x channels, so small grids with many channels keep matrix units busy.
There is no normalization: relativistic pairing with R1 and R2 penalties is stable without it (R3GAN, arXiv
2501.05441), and output i then depends on input i alone.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import classes
from cganjax.models.supports import Supports

SUPPORTS = Supports(divisible_by=4)
CONDITIONAL = True
SCORES = "unbounded"
CLASSIFIES = False
PIECEWISE_LINEAR = True
SETTINGS = {
    "latent_size": "size of z",
    "embedding": "size of the vector that a class is embedded in",
    "hidden": "size of the dense layer next to z in G, and before the score in D",
    "width_7": "channels on the grid of a quarter of the side; even in G",
    "width_14": "channels on the grid of half the side",
}
_INIT = nn.initializers.he_normal()


def _lrelu(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)


def depth_to_space(x: jax.Array) -> jax.Array:
    """Spread groups of four channels over 2x2 pixels: [N, H, W, 4C] -> [N, 2H, 2W, C]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c // 4)


def space_to_depth(x: jax.Array) -> jax.Array:
    """The inverse: [N, 2H, 2W, C] -> [N, H, W, 4C]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // 2, w // 2, 4 * c)


class Generator(nn.Module):
    """z [N, L] ~ N(0, I) and labels int [N], or class weights [N, K] -> images [N, H, W, C] in [-1, 1]."""

    num_classes: int
    shape: tuple[int, int, int]  # (H, W, C) of the images
    embedding: int
    hidden: int
    width_7: int
    width_14: int

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array, train: bool) -> jax.Array:
        del train
        if self.width_7 % 2:
            raise ValueError(f"generator.width_7 is {self.width_7}: it must be even, to spread over 2x2 pixels")
        height, width, channels = self.shape
        grid = (height // 4, width // 4, self.width_7)
        # Unit-variance class vectors stand beside unit-variance z: neither drowns the other at the start.
        embed = nn.Embed(self.num_classes, self.embedding, embedding_init=nn.initializers.normal(1.0))
        x = jnp.concatenate([z, classes.embedded(embed, labels)], axis=-1)  # [N, L + embedding]
        x = _lrelu(nn.Dense(self.hidden, kernel_init=_INIT)(x))  # [N, hidden]
        x = _lrelu(nn.Dense(math.prod(grid), kernel_init=_INIT)(x))
        x = x.reshape(-1, *grid)  # [N, H/4, W/4, width_7]
        x = _lrelu(nn.Conv(2 * self.width_7, (3, 3), kernel_init=_INIT)(x))  # [N, H/4, W/4, 2 width_7]
        x = depth_to_space(x)  # [N, H/2, W/2, width_7 / 2]
        x = _lrelu(nn.Conv(self.width_14, (3, 3), kernel_init=_INIT)(x))  # [N, H/2, W/2, width_14]
        x = nn.Conv(4 * channels, (3, 3))(x)  # [N, H/2, W/2, 4C]
        return jnp.tanh(depth_to_space(x))  # [N, H, W, C]


class Discriminator(nn.Module):
    """Images [N, H, W, C] in [-1, 1] and labels int [N] -> scores [N], larger is more real.

    The label enters by projection, <embedding(label), features> (Miyato and Koyama, arXiv 1802.05637, eq. 3).
    """

    num_classes: int
    width_14: int
    width_7: int
    hidden: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: jax.Array, train: bool) -> jax.Array:
        del train
        x = space_to_depth(images)  # [N, H/2, W/2, 4C]
        x = _lrelu(nn.Conv(self.width_14, (3, 3), kernel_init=_INIT)(x))  # [N, H/2, W/2, width_14]
        x = space_to_depth(x)  # [N, H/4, W/4, 4 width_14]
        x = _lrelu(nn.Conv(self.width_7, (3, 3), kernel_init=_INIT)(x))  # [N, H/4, W/4, width_7]
        x = _lrelu(nn.Conv(self.width_7, (3, 3), kernel_init=_INIT)(x))  # [N, H/4, W/4, width_7]
        x = x.reshape(x.shape[0], -1)  # [N, H/4 W/4 width_7]
        x = _lrelu(nn.Dense(self.hidden, kernel_init=_INIT)(x))  # [N, hidden]
        projection = nn.Embed(self.num_classes, self.hidden)(labels)  # [N, hidden]
        # No bias: a pairing loss sees differences of scores only, and Adam would amplify a zero gradient's rounding.
        return nn.Dense(1, use_bias=False)(x)[:, 0] + jnp.sum(projection * x, axis=-1)  # [N]
