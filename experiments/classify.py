"""Classify images: `python -m experiments.classify seven.png`; the same as `python -m cganjax classify`."""

import sys

from cganjax import cli
from cganjax.commands import classify


def main(argv=None) -> int:
    """Run the command that the installed package has as well."""
    return classify.main(argv, prog="python -m experiments.classify")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
