"""The table of attacks. To add one, write its function in a new file of this folder and add an entry here."""

import inspect
from collections.abc import Mapping
from typing import Any

from cganjax import checks
from cganjax.decoys.attacks import descents, latent
from cganjax.decoys.attacks.coordinate import coordinate
from cganjax.decoys.attacks.norms import NORMS
from cganjax.decoys.attacks.spsa import spsa
from cganjax.decoys.attacks.square import square
from cganjax.decoys.attacks.task import Method
from cganjax.types import BadArgument, BadType

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

MOST = 1_000_000  # steps, rounds, pairs or queries: more are a mistake, and would not end
# The ends of whole numbers, if they are not 1 and `MOST`; each shift and each view is compiled by itself.
WHOLE = {"translation": (1, 100), "views": (1, 100), "queries": (2, MOST)}  # square asks for the image and for stripes
FRACTIONS = ("decay", "diversity", "momentum", "stop")  # of at least 0, at most 1
IN_PIXELS = ("reach", "step")  # above 0, at most 1
LONGEST = 100.0  # of a step or a way, as a multiple of its unit


def check(name: str, settings: Mapping[str, Any], norm: str = "linf") -> tuple[Method, dict[str, Any]]:
    """The method of that name, and the settings as Python's numbers, if it takes them and the norm.

    Raises:
      BadArgument: the method is unknown, a setting is out of range, or the method does not work in that norm.
      BadType: the setting is unknown, or of another type. The known methods or settings are listed.
    """
    checks.one_of("method", name, METHODS)
    method = METHODS[name]
    parameters = inspect.signature(method.attack).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY}
    found = {}
    for setting, value in settings.items():
        if setting not in known:
            raise BadType(f"method {name} has no setting {setting!r}: it has {', '.join(known) or 'none'}")
        found[setting] = _checked(setting, value, known[setting], method.choices.get(setting, ()))
    checks.one_of("norm", norm, NORMS)
    if norm not in method.norms:
        raise BadArgument(
            f"method {name} works in norm {method.norms[0]}, and {norm} was given: take spsa or coordinate"
        )
    return method, found


def _checked(setting: str, value: Any, default: Any, choices: tuple[str, ...]) -> Any:
    if choices:
        if not isinstance(value, str) or value not in choices:
            raise BadArgument(f"{setting} is {checks.shown(value)}: expected {' or '.join(choices)}")
        return value
    if isinstance(default, int):
        return checks.whole(setting, value, *WHOLE.get(setting, (1, MOST)))
    if setting in FRACTIONS:
        return checks.real(setting, value, 0, 1)
    return checks.real(setting, value, 0, 1 if setting in IN_PIXELS else LONGEST, above=True)
