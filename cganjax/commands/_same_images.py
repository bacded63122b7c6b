"""Whether networks are of the same images, and the shipped generator of the images that a classifier takes."""

from collections.abc import Mapping
from typing import Any

from cganjax import checkpoint as ckpt
from cganjax import cli
from cganjax.data import known
from cganjax.spec import ImageSpec

_SHOWN = 3  # class names in a message


def check_same_images(classifiers: Mapping[str, Any], other: Any, name: str, advice: str) -> None:
    """UserError if a classifier takes images of another shape or of other classes than another network.

    Args:
      classifiers: loaded ones, by what the user calls them.
      other: a loaded generator or classifier; the user calls it `name`.
      advice: what to give, for the end of the message.
    """
    verb = "takes" if hasattr(other, "scores") else "generates"
    for called, classifier in classifiers.items():
        if not same(classifier.spec, other.spec):
            raise cli.UserError(
                f"{called} takes images of {described(classifier.spec)}, and {name} {verb} {described(other.spec)}: "
                f"{advice}"
            )


def same(one: ImageSpec, other: ImageSpec) -> bool:
    """Whether two specs have one shape and the same classes, in the same order."""
    return (one.shape, one.class_names) == (other.shape, other.class_names)


def described(spec: ImageSpec) -> str:
    """A spec with the first names of its classes.

    >>> described(ImageSpec(8, 8, 3, ("cat", "dog")))
    '8x8x3, 2 classes (cat, dog)'
    """
    names = ", ".join(spec.class_names[:_SHOWN])
    return f"{spec} ({names}{', ...' if spec.num_classes > _SHOWN else ''})"


def shipped_for(spec: ImageSpec, role: str) -> list[str]:
    """The shipped checkpoints of a role whose images have the shape and classes of a spec; the default one is first.

    >>> shipped_for(ImageSpec.numbered(28, 28, 1, 10), "generator")
    ['mnist', 'label-score']
    """
    cards = ckpt.checkpoints().items()
    found = [name for name, card in cards if role in card["roles"] and same(known.recorded(card["data"]), spec)]
    return sorted(found, key=lambda name: name != ckpt.DEFAULT)


def default_generator(spec: ImageSpec, instead: str) -> str:
    """The shipped generator of images of a spec.

    Args:
      spec: of the images that a classifier takes.
      instead: what else the user can give, for the end of the message.

    Raises:
      UserError: none is shipped.
    """
    found = shipped_for(spec, "generator")
    if not found:
        raise cli.UserError(f"no shipped generator makes images of {described(spec)}: give {instead}")
    return found[0]
