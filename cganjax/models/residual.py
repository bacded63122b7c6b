"""`residual`: a small residual classifier with batch normalisation before each activation.

Its blocks are those of He et al., "Identity mappings in deep residual networks" (arXiv 1603.05027), figure 1b, on
grids of half and of a quarter of the side.
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
SETTINGS = {
    "width": "channels on the grid of half the side; twice as many on that of a quarter",
    "blocks": "residual blocks on each grid",
}
_INIT = nn.initializers.he_normal()


def _conv(x: jax.Array, width: int) -> jax.Array:
    return nn.Conv(width, (3, 3), use_bias=False, kernel_init=_INIT)(x)


class Classifier(nn.Module):
    """Images [N, H, W, C] in [0, 1] -> logits [N, K]."""

    num_classes: int
    width: int
    blocks: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels
        x = _conv(space_to_depth(2.0 * images - 1.0), self.width)  # [N, H/2, W/2, width]
        for width in (self.width, 2 * self.width):
            if width != x.shape[-1]:
                x = _conv(pytorch.max_pool(x), width)  # [N, H/4, W/4, 2 width]
            for _ in range(self.blocks):
                y = _conv(nn.relu(pytorch.batch_norm(train)(x)), width)
                x = x + _conv(nn.relu(pytorch.batch_norm(train)(y)), width)
        x = jnp.mean(nn.relu(pytorch.batch_norm(train)(x)), axis=(1, 2))  # [N, 2 width]
        self.sow("intermediates", "features", x)
        return nn.Dense(self.num_classes)(x)  # [N, K]
