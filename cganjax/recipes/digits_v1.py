"""digits_v1: a wide CNN whose features compare real and generated digits: the extractor `digits-v1`.

Source      ours
Command     python -m experiments.train --recipe digits_v1 --backend cpu --data-dir DIR
Hardware    one core of an AMD EPYC (AVX-512), shared with other work for a part of the time
Time        1,558 s for 5,616 steps
Result      seed 101: 99.53 % of test images; shipped as `digits-v1`: its features are what `cganjax.evaluate` compares
"""

from cganjax.training.config import AugmentedClassification

CONFIG = AugmentedClassification(
    recipe="digits_v1",
    dataset="mnist",
    split="train",
    seed=101,
    steps=468 * 12,  # 12 epochs
    batch_size=128,
    family="wide_cnn",
    classifier={"width_14": 32, "width_7": 64, "hidden": 128},
    learning_rate=2e-3,
    weight_decay=0.01,
    epoch_steps=468,
    shift=1.5,
    rotation=10.0,
    noise=0.0,
    adversary_epsilon=0.0,
    adversary_steps=1,
    log_every=117,
    checkpoint_every=468,
    keep=1,
)
