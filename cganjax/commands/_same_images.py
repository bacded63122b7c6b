"""Whether classifiers take the images that a generator makes."""

from collections.abc import Mapping
from typing import Any

from cganjax import cli


def check_same_images(classifiers: Mapping[str, Any], generator: Any, name: str, advice: str) -> None:
    """UserError if a classifier takes images of another shape than the generator makes.

    Args:
      classifiers: loaded ones, by what the user calls them.
      generator: a loaded one; the user calls it `name`.
      advice: what to give, for the end of the message.
    """
    for called, classifier in classifiers.items():
        if classifier.image_shape != generator.image_shape:
            raise cli.UserError(
                f"{called} takes images of {classifier.spec}, and {name} generates {generator.spec}: {advice}"
            )
