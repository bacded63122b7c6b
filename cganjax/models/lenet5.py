"""`lenet5`: LeCun's convolutional classifier as the tutorials draw it: ReLU, max pooling, 61,706 parameters."""

import flax.linen as nn
import jax

from cganjax.models import pytorch
from cganjax.models.supports import Supports

SUPPORTS = Supports(shape=(28, 28, 1))
SCORES = "logits"
CLASSIFIES = True
SETTINGS = {}
# Of MNIST's training pixels in [0, 1]. They are inside the model, so that it takes images in [0, 1].
MEAN, STD = 0.1307, 0.3081


class Classifier(nn.Module):
    """Images [N, 28, 28, 1] in [0, 1] -> logits [N, K]."""

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, labels: None, train: bool) -> jax.Array:
        del labels, train
        x = (images - MEAN) / STD
        x = nn.relu(pytorch.ConvMaxPool(6, 5, 1, padding=2)(x))  # [N, 14, 14, 6]
        x = nn.relu(pytorch.ConvMaxPool(16, 5, 6)(x))  # [N, 5, 5, 16]
        x = x.reshape(-1, 400)  # [N, 400]
        x = nn.relu(pytorch.dense(120, 400)(x))  # [N, 120]
        x = nn.relu(pytorch.dense(84, 120)(x))  # [N, 84]
        self.sow("intermediates", "features", x)
        return pytorch.dense(self.num_classes, 84)(x)  # [N, K]
