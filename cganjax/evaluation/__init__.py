"""How good generated images are: `evaluate`, the table of metrics, and the real data that images are compared with.

`api` holds `evaluate`; `table` the metrics, one family per file in `metrics/`; `reference` the real data; `rows` the
figures of real images and of known failures; `text` and `page` the table and the picture of an evaluation. `places`
says where the extractor of a data set of one's own is kept, and `beside` makes it.
"""

from cganjax.evaluation.api import evaluate
from cganjax.evaluation.arguments import (
    check_classifier,
    check_enough,
    check_given,
    check_names,
    check_real,
    fitting,
    too_few,
)
from cganjax.evaluation.defaults import CLASSIFIER, EXTRACTOR, JUDGE, classifier_for, extractor_for, named
from cganjax.evaluation.measuring import canonical_order, measure, parts
from cganjax.evaluation.records import Given, Measured, Metric, Real, Reference, Result, Train, Unmeasurable
from cganjax.evaluation.rows import ROWS, rows_for
from cganjax.evaluation.table import LISTS, METRICS, SHORT

__all__ = [
    "CLASSIFIER",
    "EXTRACTOR",
    "Given",
    "JUDGE",
    "LISTS",
    "METRICS",
    "Measured",
    "Metric",
    "ROWS",
    "Real",
    "Reference",
    "Result",
    "SHORT",
    "Train",
    "Unmeasurable",
    "canonical_order",
    "check_classifier",
    "check_enough",
    "check_given",
    "check_names",
    "check_real",
    "classifier_for",
    "evaluate",
    "extractor_for",
    "fitting",
    "measure",
    "named",
    "parts",
    "rows_for",
    "too_few",
]
