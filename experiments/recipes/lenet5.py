"""lenet5: the classifier of the tutorials, trained for 200 epochs.

Source      a PyTorch tutorial on LeNet and FGSM; architecture and hyper-parameters as published
Command     python -m experiments.train --recipe lenet5 --backend cpu --data-dir DIR --seed N, for N = 0, 1, 2;
            then python -m experiments.robustness runs/lenet5-s0 runs/lenet5-s1 runs/lenet5-s2 --data-dir DIR
Hardware    LENET_HARDWARE
Time        LENET_TIME
Result      LENET_RESULT

Deviations from the publication:
1. Pixels in [0, 1], normalised by 0.1307 and 0.3081 inside the model, so that epsilons of an attack are in pixels: the
   listing normalises in its loader and then clips to [0, 1].
2. 200 epochs as the log has, not the listing's 300, from a rate of 1e-2 as listed; the plateau is that of the training
   loss, from which the log's reductions at epochs 162, 171, 178, 188 and 197 follow (tests/test_targets.py).
3. An epoch is 937 batches: the last rows that fill none are left out, other ones each epoch.
4. Convolution and max pooling are one operation in another order of sums; a ReLU between them follows it.
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
