"""surrogate_lenet: LeNet-5 trained against an adversary, one that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_lenet --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        699 s for 3,744 steps
Result      seed 0: 98.85 % of test images; shipped as `surrogate-lenet`; what decoys do to it: docs/decoys.md
"""

from cganjax.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_lenet",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 8,  # 8 epochs
    batch_size=128,
    family="lenet5",
    classifier={},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=0.0,
    rotation=0.0,
    noise=0.0,
    adversary_epsilon=0.15,
    adversary_steps=4,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
