"""Decoys: attacks on a classifier's confidence, the detectors that should accept or reject, and studies of both."""

from cganjax.decoys.craft import (  # noqa: F401
    TRANSFER,
    WARNINGS,
    DecoyResult,
    DecoyWarning,
    Detector,
    check,
    decoy,
)

# The old names; they will go in the next version.
Doubt, DOUBTS = DecoyWarning, WARNINGS
