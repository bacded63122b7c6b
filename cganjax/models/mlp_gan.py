"""`mlp_gan`: the plain, unconditional GAN of linear layers. Published as a course paper, in PyTorch."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import pytorch
from cganjax.models.supports import Supports

SUPPORTS = Supports(shape=(28, 28, 1), fewest_classes=1)
CONDITIONAL = False
SCORES = "sigmoid"
CLASSIFIES = False
SETTINGS = {"latent_size": "size of z"}


class Generator(nn.Module):
    """z [N, L] ~ N(0, I) -> images [N, 28, 28, 1] in [-1, 1]."""

    num_classes: None

    @nn.compact
    def __call__(self, z: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels
        x = pytorch.leaky_relu(pytorch.dense(128, z.shape[-1])(z))  # [N, 128]
        for width in (256, 512, 1024, 2048, 4096):
            x = pytorch.dense(width, x.shape[-1])(x)  # [N, width]
            # The published code passes 0.8 to BatchNorm1d as the second argument, which is eps.
            x = pytorch.leaky_relu(pytorch.batch_norm(train, eps=0.8)(x))
        return jnp.tanh(pytorch.dense(784, 4096)(x)).reshape(-1, *SUPPORTS.shape)  # [N, 28, 28, 1]


class Discriminator(nn.Module):
    """Images [N, 28, 28, 1] in [-1, 1] -> one logit [N, 1] that they are real."""

    num_classes: None

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels
        x = nn.relu(pytorch.dense(4096, 784)(images.reshape(-1, 784)))  # [N, 4096]
        for width in (2048, 1024, 512):
            x = nn.relu(pytorch.dense(width, x.shape[-1])(x))  # [N, width]
            x = nn.Dropout(0.5, deterministic=not train)(x)
        x = pytorch.dense(256, 512)(x)  # [N, 256], no activation
        return pytorch.dense(1, 256)(x)  # [N, 1]
