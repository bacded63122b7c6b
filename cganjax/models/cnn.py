"""`cnn`: a small plain convolutional classifier: ELU, max pooling, no normalisation.

Convolutions run on 14x14 and 7x7 grids (`depth_to_space` says why), and image i decides row i alone.
"""

import flax.linen as nn
import jax

from cganjax.models import pytorch
from cganjax.models.depth_to_space import space_to_depth

IMAGE_SHAPE = (28, 28, 1)
SCORES = "logits"
CLASSIFIES = True
_INIT = nn.initializers.he_normal()


class Classifier(nn.Module):
    """Images [N, 28, 28, 1] in [0, 1] -> logits [N, K]."""

    num_classes: int
    width_14: int
    width_7: int
    hidden: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels, train
        x = space_to_depth(2.0 * images - 1.0)  # [N, 14, 14, 4]
        x = nn.elu(nn.Conv(self.width_14, (3, 3), kernel_init=_INIT)(x))  # [N, 14, 14, width_14]
        x = nn.elu(nn.Conv(self.width_14, (3, 3), kernel_init=_INIT)(x))
        x = pytorch.max_pool(x)  # [N, 7, 7, width_14]
        x = nn.elu(nn.Conv(self.width_7, (3, 3), kernel_init=_INIT)(x))  # [N, 7, 7, width_7]
        x = x.reshape(x.shape[0], -1)  # [N, 49 width_7]
        x = nn.elu(nn.Dense(self.hidden, kernel_init=_INIT)(x))  # [N, hidden]
        self.sow("intermediates", "features", x)
        return nn.Dense(self.num_classes)(x)  # [N, K]
