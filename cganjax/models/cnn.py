"""`cnn`: a small plain convolutional classifier: ELU, max pooling, no normalisation.

Convolutions run on grids of half and of a quarter of the side (`depth_to_space` says why). Row i of the output depends
on image i alone.
"""

import flax.linen as nn
import jax

from cganjax.models import pytorch
from cganjax.models.depth_to_space import space_to_depth
from cganjax.models.supports import Supports

SUPPORTS = Supports(divisible_by=4)
SCORES = "logits"
CLASSIFIES = True
SETTINGS = {
    "width_14": "channels on the grid of half the side",
    "width_7": "channels on the grid of a quarter of the side",
    "hidden": "size of the dense layer before the logits",
}
_INIT = nn.initializers.he_normal()


class Classifier(nn.Module):
    """Images [N, H, W, C] in [0, 1] -> logits [N, K]."""

    num_classes: int
    width_14: int
    width_7: int
    hidden: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels, train
        x = space_to_depth(2.0 * images - 1.0)  # [N, H/2, W/2, 4C]
        x = nn.elu(nn.Conv(self.width_14, (3, 3), kernel_init=_INIT)(x))  # [N, H/2, W/2, width_14]
        x = nn.elu(nn.Conv(self.width_14, (3, 3), kernel_init=_INIT)(x))
        x = pytorch.max_pool(x)  # [N, H/4, W/4, width_14]
        x = nn.elu(nn.Conv(self.width_7, (3, 3), kernel_init=_INIT)(x))  # [N, H/4, W/4, width_7]
        x = x.reshape(x.shape[0], -1)  # [N, H/4 W/4 width_7]
        x = nn.elu(nn.Dense(self.hidden, kernel_init=_INIT)(x))  # [N, hidden]
        self.sow("intermediates", "features", x)
        return nn.Dense(self.num_classes)(x)  # [N, K]
