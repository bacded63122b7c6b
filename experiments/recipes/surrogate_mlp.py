"""surrogate_mlp: a small MLP, one of the classifiers that transferable decoys are made against.

Source      ours
Command     python -m experiments.train --recipe surrogate_mlp --backend cpu --data-dir DIR
"""

from cganjax.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="surrogate_mlp",
    dataset="mnist",
    split="train",
    seed=0,
    steps=468 * 20,  # 20 epochs
    batch_size=128,
    family="mlp",
    classifier={"hidden": 128, "depth": 2},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=2.0,
    rotation=10.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
