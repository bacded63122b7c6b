"""surrogate_robust: a small CNN trained against an adversary, one that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_robust --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        443 s for 2,808 steps
Result      seed 0: 99.35 % of test images; shipped as `surrogate-robust`; what decoys do to it: docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_robust",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 6,  # 6 epochs
    batch_size=128,
    family="cnn",
    classifier={"width_14": 24, "width_7": 48, "hidden": 96},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=0.0,
    rotation=0.0,
    noise=0.0,
    adversary_epsilon=0.1,
    adversary_steps=4,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
