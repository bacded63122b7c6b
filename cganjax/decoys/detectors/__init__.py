"""Out-of-distribution detectors: a score that is larger for unusual images, and a threshold taken from real images.

`calibrate` makes one; `DETECTORS` is the table of them. A detector that learns from real images learns from every
second one, and takes its threshold from the others.
"""

from cganjax.decoys.detectors.calibration import calibrate, card_threshold, from_card  # noqa: F401
from cganjax.decoys.detectors.entry import Detector, Entry, Score  # noqa: F401
from cganjax.decoys.detectors.figures import Comparison, compare, figures  # noqa: F401
from cganjax.decoys.detectors.table import CONFIDENCE, DETECTORS, entry, fitting, images_needed  # noqa: F401
