"""Decoys: attacks on a classifier's confidence, the detectors that they are measured by, and what came of them."""

from cganjax.decoys.craft import (  # noqa: F401
    DOUBTS,
    TRANSFER,
    DecoyResult,
    Detector,
    Doubt,
    decoy,
)
