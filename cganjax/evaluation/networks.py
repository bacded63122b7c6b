"""The networks that the commands measure generators with, chosen by the user or by the generators' images."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cganjax import checkpoint as ckpt
from cganjax import sampling
from cganjax.evaluation import arguments, defaults
from cganjax.evaluation.records import Unmeasurable
from cganjax.types import UserError


class Networks(NamedTuple):
    """An extractor, where its reference is stored, and a reference classifier if there is one."""

    extractor: Any  # a `Classifier`, whose features are compared
    folder: Path  # of the extractor
    classifier: Any  # a `Classifier` of another training, or None


def choose(
    generators: Mapping[str, Any],
    extractor: str | os.PathLike | None = None,
    classifier: str | os.PathLike | None = None,
) -> Networks:
    """The networks for generators.

    Args:
      generators: `Generator` by the name that the user gave it; at least one.
      extractor: a shipped name, a run or a checkpoint folder; None for the shipped one for such images.
      classifier: the reference classifier, in the same form; None for the shipped one for such images, if any.

    Raises:
      UserError: nothing shipped fits (it says what to train), or generators and networks do not fit each other.
    """
    if extractor is None:
        extractor = _shipped(*next(iter(generators.items())))
    loaded = sampling.load_classifier(extractor)
    for name, generator in generators.items():
        check_comparable(name, generator, extractor, loaded)
    return Networks(loaded, ckpt.find(extractor), reference_classifier(loaded, classifier))


def reference_classifier(extractor: Any, named: str | os.PathLike | None) -> Any:
    """The reference classifier that was named, or else the shipped one for an extractor's images, or None.

    Raises:
      UserError: it does not fit the extractor.
    """
    chosen = named if named is not None else defaults.classifier_for(extractor.spec)
    if chosen is None:
        return None
    classifier = sampling.load_classifier(chosen)
    try:
        arguments.check_classifier(extractor, classifier)
    except Unmeasurable as error:
        raise UserError(f"{error} (--classifier)") from None
    return classifier


def _shipped(name: str, generator: Any) -> str:
    found = defaults.extractor_for(generator.spec)
    if found is None:
        of = generator.card.get("data", {})
        raise UserError(
            f"{name} generates images of {generator.spec} ({of.get('name', 'its data')}), and no shipped extractor was "
            f"trained on such images: train a classifier on that data ({defaults.advice(of)}), and give --extractor "
            "runs/extractor. For the accuracy, which is left out otherwise, train another one with another --seed and "
            "give it by --classifier"
        )
    return found


def check_comparable(name: str, generator: Any, extractor_name: str | os.PathLike, extractor: Any) -> None:
    """Raise UserError unless an extractor takes a generator's images and has the same number of classes."""
    if generator.image_shape != extractor.image_shape:
        raise UserError(
            f"{name} generates images of {generator.image_shape}, and {extractor_name} takes {extractor.image_shape}: "
            "give an --extractor of the same data"
        )
    if generator.num_classes not in (None, extractor.num_classes):
        raise UserError(
            f"{name} knows {generator.num_classes} classes, {extractor_name} {extractor.num_classes}: give an "
            "--extractor of the same data"
        )
