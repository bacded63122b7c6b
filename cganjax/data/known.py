"""The data sets that cganjax knows by name: the spec of each, for runs and checkpoints whose card does not say it."""

from collections.abc import Mapping
from typing import Any

from cganjax.spec import ImageSpec

_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

KNOWN: Mapping[str, ImageSpec] = {
    "cifar10_small": ImageSpec(32, 32, 3, _OBJECTS),
    "digits": ImageSpec.numbered(28, 28, 1, 10),
    "emnist/letters": ImageSpec(28, 28, 1, _LETTERS),
    "fashion_mnist": ImageSpec(28, 28, 1, _CLOTHES),
    "kmnist": ImageSpec(28, 28, 1, _KUZUSHIJI),
    "mnist": ImageSpec.numbered(28, 28, 1, 10),
    "pattern_1010": ImageSpec.numbered(1, 4, 1, 1),
}
DEFAULT = "mnist"  # the data set that `data.load` reads unless it is told otherwise
# A set that shows the same things as another: what was trained on one to measure images measures those of both.
ALIKE: Mapping[str, str] = {"digits": "mnist"}
# TFDS numbers the labels of this set from 1, under a header of 37 classes.
FIRST_LABEL: Mapping[str, int] = {"emnist/letters": 1}


def recorded(data: Mapping[str, Any]) -> ImageSpec:
    """The spec in a manifest's or card's record of its data.

    Records from before specs were written name a data set and a number of classes; their images were 28x28x1, or
    `pattern_1010`'s.

    Raises:
      KeyError or TypeError: the record is damaged.
    """
    if "spec" in data:
        return ImageSpec.from_json(data["spec"])
    known = KNOWN.get(data.get("name", "mnist"), KNOWN["mnist"])
    if known.num_classes == data["num_classes"]:
        return known
    return ImageSpec.numbered(*known.shape, data["num_classes"])
