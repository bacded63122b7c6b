"""Store what images are compared with beside an extractor: `python -m experiments.reference --data-dir DIR`.

It is the same as `cganjax reference`.
"""

import sys

from cganjax import cli
from cganjax.commands import reference


def main(argv=None) -> int:
    """Hand over to the command of the installed package."""
    return reference.main(argv, prog="python -m experiments.reference")


if __name__ == "__main__":
    sys.exit(cli.execute(main))
