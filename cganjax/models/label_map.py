"""`label_map`: a generator on a 56x56 grid, and a discriminator that takes the label as maps beside the image.

Published as a course project in PyTorch (2023). About 1.5 GFLOP an image forward: meant for a GPU.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import classes, pytorch
from cganjax.models.supports import Supports

SUPPORTS = Supports(shape=(28, 28, 1))
CONDITIONAL = True
SCORES = "sigmoid"
CLASSIFIES = False  # D takes the label as an input
SETTINGS = {"latent_size": "size of z"}


class Generator(nn.Module):
    """z [N, L] ~ N(0, I) and labels int [N], or class weights [N, K] -> images [N, 28, 28, 1] in [-1, 1]."""

    num_classes: int

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array, train: bool) -> jax.Array:
        x = jnp.concatenate([z, classes.one_hot(labels, self.num_classes, z.dtype)], axis=-1)  # [N, L + K]
        x = pytorch.dense(3136, x.shape[-1])(x).reshape(-1, 56, 56, 1)  # [N, 56, 56, 1]
        x = pytorch.leaky_relu(pytorch.conv(50, 3, 1, padding=1, bias=False)(x))  # [N, 56, 56, 50]
        for inputs, width in ((50, 250), (250, 50), (50, 25)):
            x = pytorch.conv(width, 3, inputs, padding=1, bias=False)(x)  # [N, 56, 56, width]
            x = pytorch.leaky_relu(pytorch.batch_norm(train)(x))
        return jnp.tanh(pytorch.conv(1, 2, 25, stride=2, bias=False)(x))  # [N, 28, 28, 1]


class Discriminator(nn.Module):
    """Images [N, 28, 28, 1] in [-1, 1] and labels int [N] -> logits [N, K]."""

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: jax.Array, train: bool) -> jax.Array:
        maps = jax.nn.one_hot(labels, self.num_classes, dtype=images.dtype)[:, None, None, :]  # [N, 1, 1, K]
        maps = jnp.broadcast_to(maps, (*images.shape[:3], self.num_classes))  # [N, 28, 28, K]
        x = pytorch.leaky_relu(pytorch.conv(16, 4, 1, stride=2, padding=1)(images))  # [N, 14, 14, 16]
        y = pytorch.leaky_relu(pytorch.conv(16, 4, self.num_classes, stride=2, padding=1)(maps))  # [N, 14, 14, 16]
        x = jnp.concatenate([x, y], axis=-1)  # [N, 14, 14, 32]
        x = pytorch.leaky_relu(pytorch.conv(256, 4, 32, stride=2, padding=1)(x))  # [N, 7, 7, 256]
        x = pytorch.conv(1024, 3, 256, stride=2)(x)  # [N, 3, 3, 1024]
        x = pytorch.leaky_relu(pytorch.batch_norm(train)(x)).reshape(-1, 9216)  # [N, 9216]
        for inputs, width in ((9216, 2048), (2048, 512)):
            x = pytorch.leaky_relu(pytorch.dense(width, inputs)(x))  # [N, width]
            x = nn.Dropout(0.02, deterministic=not train)(x)
        return pytorch.dense(self.num_classes, 512)(x)  # [N, K]
