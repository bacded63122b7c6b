"""Training: configs, algorithms as pure functions, the loop, the run folder, and `train`, which puts them together.

Read in this order: `config` (what a run is), `algorithms/` (one update), `loop` (many of them), `runs`, `manifest`,
`preview` and `trial` (what a run writes), `session` (`train`, from a recipe to a `result.TrainedRun`).
"""
