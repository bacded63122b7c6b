"""`mlp`: a classifier of dense layers; the order of its pixels does not matter to it."""

import flax.linen as nn
import jax

from cganjax.models.supports import Supports

SUPPORTS = Supports()
SCORES = "logits"
CLASSIFIES = True
SETTINGS = {"hidden": "size of each hidden layer", "depth": "number of hidden layers"}
_INIT = nn.initializers.he_normal()


class Classifier(nn.Module):
    """Images [N, H, W, C] in [0, 1] -> logits [N, K]."""

    num_classes: int
    hidden: int
    depth: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels, train
        x = 2.0 * images.reshape(images.shape[0], -1) - 1.0  # [N, H W C]
        for _ in range(self.depth):
            x = nn.relu(nn.Dense(self.hidden, kernel_init=_INIT)(x))  # [N, hidden]
        self.sow("intermediates", "features", x)
        return nn.Dense(self.num_classes)(x)  # [N, K]
