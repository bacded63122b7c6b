"""Which images a network family can be built for, and the one sentence that refuses others."""

from typing import NamedTuple

from cganjax.spec import MOST_CLASSES, ImageSpec
from cganjax.types import UserError


class Supports(NamedTuple):
    """The specs that a family supports."""

    shape: tuple[int, int, int] | None = None  # only this (H, W, C), as published; None: the next two fields decide
    divisible_by: int = 1  # the height and the width must be divisible by this
    fewest_classes: int = 2

    def check(self, family: str, spec: ImageSpec) -> None:
        """Raise UserError unless the family can be built for the spec."""
        advice = "choose another family"
        if self.shape is not None and spec.shape != self.shape:
            expected = f"{'x'.join(map(str, self.shape))} only"
        elif spec.height % self.divisible_by or spec.width % self.divisible_by:
            expected = f"a height and a width divisible by {self.divisible_by}"
            advice += ", or resize the images (--size 32 does so for the pictures of a folder)"
        elif not self.fewest_classes <= spec.num_classes <= MOST_CLASSES:
            expected = f"{self.fewest_classes} to {MOST_CLASSES:,} classes"
        else:
            return
        raise UserError(f"family {family} cannot be built for images of {spec}: it supports {expected}; {advice}")
