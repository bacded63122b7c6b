"""onlooker: a classifier that has seen noise and stands for a person: does a decoy still read as the digit?.

Source      ours
Command     python -m experiments.train --recipe onlooker --backend cpu --data-dir DIR
"""

from cganjax.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="onlooker",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 6,  # 6 epochs
    batch_size=128,
    family="residual",
    classifier={"width": 24, "blocks": 1},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=1.0,
    rotation=10.0,
    noise=0.6,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
