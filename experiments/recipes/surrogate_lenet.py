"""surrogate_lenet: LeNet-5 trained against an adversary, one that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_lenet --backend cpu --data-dir DIR
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
