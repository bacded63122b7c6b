"""Make decoys: `python -m experiments.decoy 3141592653`; the same as `python -m cganjax decoy`."""

import sys

from cganjax import cli
from cganjax.commands import decoy


def main(argv=None) -> int:
    """Hand over to the command that the installed package has too."""
    return decoy.main(argv, prog="python -m experiments.decoy")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
