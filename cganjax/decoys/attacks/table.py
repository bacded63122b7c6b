"""The table of attacks. To add one, write its function in a new file of this folder and add an entry here."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

from cganjax.decoys.attacks import descents, latent
from cganjax.decoys.attacks.coordinate import coordinate
from cganjax.decoys.attacks.spsa import spsa
from cganjax.decoys.attacks.square import square
from cganjax.decoys.attacks.task import Method

METHODS: Mapping[str, Method] = {
    "bim": Method(descents.bim),
    "coordinate": Method(coordinate, gradient=False, choices={"reference": ("current", "clean")}),
    "di": Method(descents.di),
    "ensemble": Method(descents.ensemble),
    "fgsm": Method(descents.fgsm),
    "latent": Method(latent.latent, latent=True),
    "latent+pixel": Method(latent.latent_and_pixel, latent=True),
    "mi": Method(descents.mi),
    "pgd": Method(descents.pgd),
    "spsa": Method(spsa, gradient=False),
    "square": Method(square, gradient=False, norms=("linf",)),
    "ti": Method(descents.ti),
}

MAY_BE_0 = ("decay", "diversity", "momentum", "stop")


def check(name: str, settings: Mapping[str, Any], norm: str = "linf") -> Method:
    """The method of that name, if it takes the settings and the norm.

    Raises:
      ValueError: the method is unknown, a setting is out of range, or the method does not work in that norm.
      TypeError: the setting is unknown. The known methods or settings are listed.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}: known are auto, {', '.join(METHODS)}")
    method = METHODS[name]
    parameters = inspect.signature(method.attack).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    for setting, value in settings.items():
        if setting not in known:
            raise TypeError(f"method {name} has no setting {setting!r}: it has {', '.join(known) or 'none'}")
        if setting in method.choices and value not in method.choices[setting]:
            raise ValueError(f"{setting} is {value!r}: expected {' or '.join(method.choices[setting])}")
        _check_number(setting, value, known[setting])
    if norm not in method.norms:
        raise ValueError(
            f"method {name} works in norm {method.norms[0]}, and {norm} was given: take spsa or coordinate"
        )
    return method


def _check_number(setting: str, value: Any, default: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(default, int):
        least = 2 if setting == "queries" else 1  # square asks for the image and for stripes
        if not number or not isinstance(value, int) or value < least:
            raise ValueError(f"{setting} is {value!r}: expected a whole number of at least {least}")
    elif isinstance(default, float):
        may_be_0 = setting in MAY_BE_0
        if not number or not (0 <= value < math.inf) or (value == 0 and not may_be_0):
            raise ValueError(f"{setting} is {value!r}: expected a number {'of at least' if may_be_0 else 'above'} 0")
