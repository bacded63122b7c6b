"""The metrics, one family per file: pure functions of arrays, and `compute`, which applies them to an evaluation.

`accuracy`, `frechet`, `kernel` (KID), `prdc`, `diversity` and `memorisation` need no training; `cas` and `two_sample`
train a classifier (`training`). Arrays are on the host and sums in float64. Nothing here reads a file or knows the name
of a network. `evaluation.table` lists the metrics.
"""
