"""The commands and studies of a checkout: `python -m experiments.VERB`."""

import sys

from cganjax import interrupts

if sys.argv[:1] == ["-m"]:  # Python is about to run one of them; see runpy
    interrupts.watch()
