"""Training: configs, algorithms as pure functions, the loop, and the run folder."""
