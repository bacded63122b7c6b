"""Which shipped networks measure images of a spec, if the user names none."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cganjax import checkpoint as ckpt
from cganjax import recipes
from cganjax.data import known
from cganjax.data.record import GIVEN
from cganjax.evaluation import reference as references
from cganjax.spec import ImageSpec

EXTRACTOR, CLASSIFIER = "digits-v1", "digits-judge"
JUDGE = CLASSIFIER  # the former name; removed in the next version
RECIPE = "digits_v1"  # the recipe that an extractor for other images is trained by
_ROLES = {"extractor": EXTRACTOR, "judge": CLASSIFIER}  # role in a card -> the checkpoint that is preferred


def extractor_for(spec: ImageSpec) -> str | None:
    """The shipped feature extractor for images of a spec, or None.

    >>> extractor_for(ImageSpec.numbered(28, 28, 1, 10)), extractor_for(ImageSpec.numbered(32, 32, 3, 10))
    ('digits-v1', None)
    """
    return _shipped("extractor", lambda one: _alike(one, spec))


def extractor_of_shape(shape: Sequence[int]) -> str | None:
    """The shipped feature extractor for images [H, W, C], whatever their classes, or None.

    >>> extractor_of_shape((28, 28, 1)), extractor_of_shape((12, 16, 3))
    ('digits-v1', None)
    """
    return _shipped("extractor", lambda one: one.shape == tuple(shape))


def classifier_for(spec: ImageSpec) -> str | None:
    """The shipped reference classifier for images of a spec, or None.

    >>> classifier_for(ImageSpec.numbered(28, 28, 1, 10))
    'digits-judge'
    """
    return _shipped("judge", lambda one: _alike(one, spec))


def advice(data: Mapping[str, Any] | None = None) -> str:
    """The commands that make an extractor for images that no shipped one takes.

    Args:
      data: what a manifest or card says of the data: its `name`, and its `place` and `images` if they are known.

    >>> print(advice({"name": "mine", "place": "/my data/mine.npz", "images": 100}))
    cganjax train --recipe digits_v1 --dataset '/my data/mine.npz' --set batch_size=100 --out runs/extractor, then \
cganjax reference --extractor runs/extractor
    """
    data = data or {}
    place = data.get("place")
    source = "DATA" if place == GIVEN else shlex.quote(str(place or data.get("name", "DATA")))
    train = f"cganjax train --recipe {RECIPE} --dataset {source}"
    images = data.get("images")
    if isinstance(images, int) and 0 < images < recipes.load(RECIPE).batch_size:
        train += f" --set batch_size={images}"
    return f"{train} --out runs/extractor, then cganjax reference --extractor runs/extractor"


def _shipped(role: str, fits: Callable[[ImageSpec], bool]) -> str | None:
    """The shipped checkpoint of a role that was trained on images of a fitting spec."""
    found = [
        name
        for name, card in ckpt.checkpoints().items()
        if role in card["roles"] and fits(known.recorded(card["data"]))
    ]
    return _ROLES[role] if _ROLES[role] in found else min(found, default=None)


def _alike(one: ImageSpec, other: ImageSpec) -> bool:
    return (one.shape, one.class_names) == (other.shape, other.class_names)


def named(classifier: Any) -> dict[str, str]:
    """What identifies a classifier: its name and the SHA-256 of its weights."""
    return {"name": classifier.card["name"], "sha256": references.digest_of(classifier)}
