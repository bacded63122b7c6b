"""`all_cnn`: a small classifier of convolutions: strides instead of pooling, batch norm, a mean over the grid.

As in Springenberg et al., "Striving for simplicity: the all convolutional net" (arXiv 1412.6806), section 3.1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cganjax.models import pytorch
from cganjax.models.depth_to_space import space_to_depth
from cganjax.models.supports import Supports

SUPPORTS = Supports(divisible_by=4)
SCORES = "logits"
CLASSIFIES = True
SETTINGS = {"width": "channels on the grid of half the side; twice as many on that of a quarter"}
_INIT = nn.initializers.he_normal()


class Classifier(nn.Module):
    """Images [N, H, W, C] in [0, 1] -> logits [N, K]."""

    num_classes: int
    width: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels
        x = space_to_depth(2.0 * images - 1.0)  # [N, H/2, W/2, 4C]
        stages = ((self.width, 3, 1), (2 * self.width, 3, 2), (2 * self.width, 3, 1), (2 * self.width, 1, 1))
        for width, size, stride in stages:
            x = nn.Conv(width, (size, size), strides=stride, use_bias=False, kernel_init=_INIT)(x)
            x = nn.relu(pytorch.batch_norm(train)(x))  # [N, H/2, W/2, width], then [N, H/4, W/4, 2 width]
        x = jnp.mean(x, axis=(1, 2))  # [N, 2 width]
        self.sow("intermediates", "features", x)
        return nn.Dense(self.num_classes)(x)  # [N, K]
