"""`label_score`: a generator on a 56x56 grid, and a discriminator with one output per class that takes no label.

D's sigmoid for class k answers "is this a real k?". The highest of them says both which digit it is and whether it is
real, so D serves as a classifier with a reject option. Published as a course project in PyTorch (2023).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import classes, pytorch
from cganjax.models.supports import Supports

SUPPORTS = Supports(shape=(28, 28, 1))
CONDITIONAL = True
SCORES = "sigmoid"
CLASSIFIES = True  # D takes no label and scores every class
SETTINGS = {"latent_size": "size of z"}


class Generator(nn.Module):
    """z [N, L] ~ N(0, I) and labels int [N], or class weights [N, K] -> images [N, 28, 28, 1] in [-1, 1]."""

    num_classes: int

    @nn.compact
    def __call__(self, z: jax.Array, labels: jax.Array, train: bool) -> jax.Array:
        x = jnp.concatenate([z, classes.one_hot(labels, self.num_classes, z.dtype)], axis=-1)  # [N, L + K]
        x = pytorch.dense(3136, x.shape[-1])(x).reshape(-1, 56, 56, 1)  # [N, 56, 56, 1]
        x = nn.relu(pytorch.batch_norm(train)(x))
        x = pytorch.conv(50, 3, 1, padding=1)(x)  # [N, 56, 56, 50]
        x = nn.relu(pytorch.batch_norm(train)(x))
        x = pytorch.conv(25, 3, 50, padding=1)(x)  # [N, 56, 56, 25]
        x = nn.relu(pytorch.batch_norm(train)(x))
        return jnp.tanh(pytorch.conv(1, 2, 25, stride=2)(x))  # [N, 28, 28, 1]


class Discriminator(nn.Module):
    """Images [N, 28, 28, 1] in [-1, 1] -> logits [N, K]; labels are ignored."""

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: jax.Array | None, train: bool) -> jax.Array:
        del labels, train
        x = pytorch.leaky_relu(pytorch.conv(32, 5, 1, padding=2)(images))  # [N, 28, 28, 32]
        x = pytorch.max_pool(x)  # [N, 14, 14, 32]
        x = pytorch.leaky_relu(pytorch.conv(64, 5, 32, padding=2)(x))  # [N, 14, 14, 64]
        x = pytorch.max_pool(x).reshape(-1, 7 * 7 * 64)  # [N, 3136]
        x = pytorch.leaky_relu(pytorch.dense(1024, 3136)(x))  # [N, 1024]
        self.sow("intermediates", "features", x)
        return pytorch.dense(self.num_classes, 1024)(x)  # [N, K]
