"""Whether this installation computes, keeps and reads what it should: one check per function, none of which raises.

`CHECKS` is the table. A new check is a function that yields findings, and one entry.
"""

from collections.abc import Callable, Iterator

from cganjax.health import arithmetic, machine, places, shelf
from cganjax.health.finding import NOTE, OK, WRONG, Finding

__all__ = ["CHECKS", "NOTE", "OK", "WRONG", "Finding", "examine"]

CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "versions": machine.versions,
    "device": machine.device,
    "threads": machine.threads,
    "settings": machine.settings,
    "memory": machine.memory,
    "cache folder": places.cache,
    "data folder": places.data,
    "this folder": places.here,
    "random values": arithmetic.random_values,
    "operations": arithmetic.operations,
    "repetition": arithmetic.repetition,
    "checkpoints": shelf.checkpoints,
    "sample": shelf.sample,
}


def examine(checks: dict[str, Callable[[], Iterator[Finding]]] | None = None) -> Iterator[tuple[str, Finding]]:
    """Run the checks in their order, and yield each finding with the name of its check as soon as it is known.

    A check that fails to run is a finding, too: the ones after it are still wanted.

    Args:
      checks: functions that yield findings, by name; None for all of `CHECKS`.

    >>> [finding.level for _, finding in examine({"random values": arithmetic.random_values})]
    ['ok']
    """
    for name, check in (CHECKS if checks is None else checks).items():
        try:
            for finding in check():
                yield name, finding
        except Exception as error:
            first = (str(error).splitlines() or [""])[0]
            said = f"the check could not be done ({type(error).__name__}: {first})"
            yield name, Finding(WRONG, said, "run with another --backend; if it fails there too, install cganjax again")
