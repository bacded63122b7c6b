"""surrogate_strided_robust: the CNN of strides, trained against an adversary; a surrogate of decoys.

Source      ours
Command     python -m experiments.train --recipe surrogate_strided_robust --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        190 s for 1,872 steps
Result      seed 3: 98.13 % of test images; shipped as `surrogate-strided-robust`; see docs/decoys.md
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_strided_robust",
    dataset="mnist",
    split="train",
    seed=3,
    steps=468 * 4,  # 4 epochs
    batch_size=128,
    family="all_cnn",
    classifier={"width": 16},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=0.0,
    rotation=0.0,
    noise=0.0,
    adversary_epsilon=0.1,
    adversary_steps=3,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
