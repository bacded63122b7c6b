"""`ImageSpec`: what images a data set holds. Networks are built for one, and it travels into manifests and cards."""

from collections.abc import Mapping
from typing import Any, NamedTuple

LIGHT_ON_DARK, DARK_ON_LIGHT = "light_on_dark", "dark_on_light"


class ImageSpec(NamedTuple):
    """The shape of every image of a data set, and the names of its classes.

    >>> spec = ImageSpec(32, 32, 3, ("cat", "dog"))
    >>> spec.shape, spec.num_classes
    ((32, 32, 3), 2)
    """

    height: int  # pixels
    width: int  # pixels
    channels: int  # 1 (grey) or 3 (RGB)
    class_names: tuple[str, ...]  # class_names[k] is the name of class k
    polarity: str = LIGHT_ON_DARK  # of grey drawings: "light_on_dark" (ink is 1, paper 0) or "dark_on_light"

    @classmethod
    def numbered(cls, height: int, width: int, channels: int, num_classes: int, **fields: Any) -> "ImageSpec":
        """A spec whose classes are named "0", "1", ...

        >>> ImageSpec.numbered(28, 28, 1, 3).class_names
        ('0', '1', '2')
        """
        return cls(height, width, channels, tuple(map(str, range(num_classes))), **fields)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, self.channels

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def inverted(self) -> bool:
        """Whether a picture of these images shows 1 - x, so that ink is dark on white paper."""
        return self.channels == 1 and self.polarity == LIGHT_ON_DARK

    @property
    def background(self) -> float | None:
        """The value in [0, 1] of the paper of grey drawings; None for RGB images, which have no one background."""
        if self.channels != 1:
            return None
        return 0.0 if self.polarity == LIGHT_ON_DARK else 1.0

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}, {self.num_classes} classes"

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        return self._asdict() | {"class_names": list(self.class_names)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ImageSpec":
        """The inverse of `to_json`. Raises TypeError or KeyError if a field is missing or unknown."""
        return cls(**dict(values) | {"class_names": tuple(map(str, values["class_names"]))})
