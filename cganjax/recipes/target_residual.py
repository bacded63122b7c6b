"""target_residual: a small residual CNN that no shipped decoy was made against.

Source      ours
Command     python -m experiments.train --recipe target_residual --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        338 s for 2,808 steps
Result      seed 0: 99.44 % of test images; shipped as `target-residual`; what decoys do to it: docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="target_residual",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 6,  # 6 epochs
    batch_size=128,
    family="residual",
    classifier={"width": 24, "blocks": 2},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=1.0,
    rotation=10.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
