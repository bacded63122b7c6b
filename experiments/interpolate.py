"""A generator's latent space, in pictures and figures: `python -m experiments.interpolate mnist`.

It is the same as `cganjax interpolate`.
"""

import sys

from cganjax import cli
from cganjax.commands import interpolate


def main(argv=None) -> int:
    """Hand over to the command of the installed package."""
    return interpolate.main(argv, prog="python -m experiments.interpolate")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
