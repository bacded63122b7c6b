"""`ImageSpec`: what images a data set holds. Networks are built for one, and it travels into manifests and cards."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cganjax import checks
from cganjax.types import BadArgument

LIGHT_ON_DARK, DARK_ON_LIGHT = "light_on_dark", "dark_on_light"
MOST_CLASSES = 1000  # that networks are built for
MOST = 2**16  # pixels of a side: a larger number is a mistake


class _Fields(NamedTuple):
    height: int  # pixels
    width: int  # pixels
    channels: int  # 1 (grey) or 3 (RGB)
    class_names: tuple[str, ...]  # class_names[k] is the name of class k
    polarity: str = LIGHT_ON_DARK  # of grey drawings: "light_on_dark" (ink is 1, paper 0) or "dark_on_light"


class ImageSpec(_Fields):  # a NamedTuple cannot check its own fields
    """The shape of every image of a data set, and the names of its classes.

    Raises:
      ValueError: a size is not a whole number of at least 1, there are not 1 or 3 channels, a class has no name or one
        that another has, or the polarity is unknown.

    >>> spec = ImageSpec(32, 32, 3, ("cat", "dog"))
    >>> spec.shape, spec.num_classes
    ((32, 32, 3), 2)
    """

    __slots__ = ()

    def __new__(
        cls, height: int, width: int, channels: int, class_names: Sequence[str], polarity: str = LIGHT_ON_DARK
    ) -> "ImageSpec":
        height, width = _size("height", height), _size("width", width)
        channels = _size("channels", channels)
        if channels not in (1, 3):
            raise BadArgument(f"channels is {channels}: expected 1 (grey) or 3 (RGB)")
        names = _names(class_names)
        if not isinstance(polarity, str) or polarity not in (LIGHT_ON_DARK, DARK_ON_LIGHT):
            raise BadArgument(f"polarity is {checks.shown(polarity)}: expected {LIGHT_ON_DARK!r} or {DARK_ON_LIGHT!r}")
        return super().__new__(cls, height, width, channels, names, polarity)

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> "ImageSpec":
        return cls(*iterable)  # checked: `_replace` makes its result with it

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
        """The inverse of `to_json`.

        Raises:
          TypeError or KeyError: a field is missing or unknown.
          ValueError: a field has a wrong value.
        """
        return cls(**dict(values) | {"class_names": tuple(map(str, values["class_names"]))})


def _size(name: str, value: Any) -> int:
    return checks.whole(name, value, 1, MOST)


def _names(names: Any) -> tuple[str, ...]:
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable) or getattr(names, "shape", None) == ():
        raise BadArgument(
            f"class_names is {checks.shown(names)}: expected the names of the classes, such as ('cat', 'dog')"
        )
    names, seen = tuple(names), set()
    if not names:
        raise BadArgument("class_names is empty: expected the name of at least one class")
    for k, name in enumerate(names):
        if not isinstance(name, str):
            raise BadArgument(f"class_names[{k}] is {checks.shown(name)}: expected a string")
        if name in seen:
            raise BadArgument(f"class_names[{k}] is {name!r}, as is an earlier name: expected different names")
        seen.add(name)
    return names
