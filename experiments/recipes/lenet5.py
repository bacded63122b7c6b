"""lenet5: the classifier of the tutorials, trained for 200 epochs.

Source      a PyTorch tutorial on LeNet and FGSM; architecture and hyper-parameters as published
Command     python -m experiments.train --recipe lenet5 --backend cpu --data-dir DIR
"""

from cganjax.config import Classification

CONFIG = Classification(
    recipe="lenet5",
    dataset="mnist",
    split="train",
    seed=0,
    steps=937 * 200,  # 200 epochs
    batch_size=64,
    family="lenet5",
    classifier={},
    learning_rate=1e-2,
    momentum=0.9,
    weight_decay=5e-4,
    epoch_steps=937,
    plateau_factor=0.5,
    plateau_patience=5,
    learning_rate_floor=1e-6,
    log_every=937,
    checkpoint_every=937 * 5,
    keep=2,
)
