"""surrogate_cnn: a small plain CNN, one of the classifiers that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_cnn --backend cpu --data-dir DIR
"""

from cganjax.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_cnn",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 8,  # 8 epochs
    batch_size=128,
    family="cnn",
    classifier={"width_14": 16, "width_7": 32, "hidden": 64},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=0.0,
    rotation=0.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
