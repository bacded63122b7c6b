"""surrogate_strided: a tiny residual CNN with batch norm, one that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_strided --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        81 s for 2,808 steps
Result      seed 0: 98.55 % of test images; shipped as `surrogate-strided`; what decoys do to it: docs/decoys.md
"""

from cganjax.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_strided",
    dataset="mnist",
    split="train",
    seed=1,
    steps=468 * 6,  # 6 epochs
    batch_size=128,
    family="all_cnn",
    classifier={"width": 24},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=1.0,
    rotation=10.0,
    noise=0.2,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
