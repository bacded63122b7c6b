"""What the benchmarks stand on: figures, their page, and that both sides compute the same. No time is asserted."""

import importlib
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import cganjax
from benchmarks import __main__ as everything
from benchmarks import timing, training_step
from cganjax import models, recipes
from cganjax.data import known
from cganjax.decoys import robustness
from cganjax.training import algorithms
from cganjax.training import config as cfg
from cganjax.types import Batch

KEY = jax.random.key(0)


def test_sides_run_in_turn_after_one_unmeasured_call_each():
    called = []
    seconds = timing.in_turn({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, 3, pause=0.0)
    assert "".join(called) == "ab" + "ab" * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_a_sides_median_over_ours():
    ours, peer = timing.rows("w", {timing.OURS: [1.0, 2.0, 9.0], "peer": [3.0, 8.0, 5.0]}, "ms", 1e3, peer="note")
    assert ours == timing.Row("w", timing.OURS, 2000.0, 1000.0, 9000.0, "ms", 3, None, "")
    assert peer == timing.Row("w", "peer", 5000.0, 3000.0, 8000.0, "ms", 3, 2.5, "note")


@pytest.mark.parametrize("other", [[1.0, 2.1], [1.0, np.nan], [1.0], [1.0, 2.0, 3.0]])
def test_nothing_is_timed_where_sides_differ(other):
    timing.same("w", [1.0, 2.0], [1.0, 2.0001], 1e-3)
    with pytest.raises(SystemExit, match="w: the two sides differ .* nothing was timed"):
        timing.same("w", [1.0, 2.0], other, 1e-3)


def test_the_page_has_every_row_and_keeps_those_not_run_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = timing.rows("a call", {timing.OURS: [2.0], "peer": [3.0]}, "ms", peer="with care")
    record = timing.environment() | {"rows": [row._asdict() for row in rows], "command": ["kept", "out"]}
    monkeypatch.setattr(everything, "run", lambda name, data_dir: None if name == "memory" else record)
    assert everything.main(["--only", "sampling", "memory"]) != 0  # one was left out, and it is said
    assert "left out, see above: memory" in capsys.readouterr().out
    assert everything.main(["--only", "growth"]) == 0
    results, page = json.loads(everything.RESULTS.read_text()), everything.PAGE.read_text()
    assert sorted(results) == ["growth", "sampling"] and "command" not in results["growth"]
    assert results["growth"]["versions"]["jax"] == jax.__version__ and results["growth"]["date"]
    for title in ("## sampling", "## growth"):
        assert title in page
    assert page.count("| a call | cganjax | 2 ms | 2 to 2, n 1 |  |  |") == 2
    assert page.count("|  | peer | 3 ms | 3 to 3, n 1 | 1.50 | with care |") == 2
    assert "## memory" not in page


def test_every_benchmark_of_the_page_has_a_command(capsys):
    for name, flags in everything.NAMES.items():
        module = importlib.import_module(f"benchmarks.{name}")
        with pytest.raises(SystemExit) as stopped:
            module.main(["--help"])
        said = capsys.readouterr().out
        assert stopped.value.code == 0 and all(flag.split("=")[0] in said for flag in flags), name


@pytest.mark.parametrize(("fraction", "settings"), [(1, {}), (0.5, {"channels_last": True})])
def test_in_pytorch_the_flagship_computes_the_same(monkeypatch, fraction, settings):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_flagship

    # Widths of which no two are alike: an order that is wrong shows. Steps so large that a wrong gradient shows too.
    changes = """batch_size=4 learning_rate=2e-3 mismatch_fraction=0.5 latent_std=0.8
        generator.width_7=8 generator.width_14=12 generator.hidden=20
        discriminator.width_7=8 discriminator.width_14=4 discriminator.hidden=12""".split()
    at = training_step.problem(cfg.override(recipes.load("mnist"), [*changes, f"penalty_fraction={fraction}"]))
    step = jax.jit(at.trainer.step)
    want = training_step.losses(step, at.key, at.state, at.batch)
    training_step.peer_run(torch_flagship, at, want, "PyTorch", "cpu", 1, **settings)()
    monkeypatch.setattr(training_step.steps.relativistic, "gamma_schedule", lambda config: lambda step: 0.0)
    with pytest.raises(SystemExit, match="losses of PyTorch: the two sides differ"):  # a peer without penalties
        training_step.peer_run(torch_flagship, at, want, "PyTorch", "cpu", 1)
    with torch.no_grad():
        generator = torch_flagship.generator(at.state.generator.params)
    assert sum(p.numel() for p in generator.parameters()) == sum(x.size for x in jax.tree.leaves(at.state.generator))


def test_peers_of_sampling_draw_the_same_images():
    pytest.importorskip("torch")
    from benchmarks import sampling

    rows = list(sampling.of_batch(2, sampling.peers(compiled=False), 1))  # ends where images differ by more than 1e-4
    assert {row.side for row in rows} >= {timing.OURS, sampling.LABEL_SCORE, sampling.TORCH}


def test_lenet5_in_pytorch_has_the_same_logits():
    torch = pytest.importorskip("torch")
    from benchmarks import decoys

    classifier, images = cganjax.load_classifier("lenet5"), np.asarray(cganjax.sample(KEY, range(10)))
    theirs = decoys.network(classifier.params)(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    assert_allclose(theirs, classifier(images), atol=1e-4)


@pytest.mark.slow
def test_pgd_keeps_its_bounds_whatever_the_chunk_and_compiles_once():
    classifier, labels = cganjax.load_classifier("lenet5"), np.arange(24) % 10
    images, traces = np.asarray(cganjax.sample(KEY, labels)), []

    def traced(x):
        traces.append(x.shape)
        return classifier(x)

    found = [robustness.pgd(KEY, traced, images, labels, 0.1, steps=3, chunk=chunk) for chunk in (24, 8)]
    # Where a gradient is next to 0, its sign is rounding, which goes with the number of images at a time.
    assert np.mean(np.abs(found[0] - found[1]) > 1e-5) < 1e-3
    assert np.abs(found[0] - images).max() <= 0.1 + 1e-6 and found[0].min() >= 0 and found[0].max() <= 1
    assert np.abs(found[0] - images).max() > 0.05
    for wrong, sentence in (({"chunk": 0}, "chunk is 0"), ({"steps": 0}, "steps is 0")):
        with pytest.raises(ValueError, match=sentence):
            robustness.pgd(KEY, traced, images, labels, 0.1, **wrong)
    with pytest.raises(ValueError, match="24 images and 3 labels"):
        robustness.pgd(KEY, traced, images, labels[:3], 0.1)
    before = len(traces)
    again = robustness.pgd(jax.random.key(1), traced, images, labels, 0.1, steps=3, chunk=8)
    assert len(traces) == before and not np.array_equal(again, found[1])


@pytest.mark.parametrize("side", [28, 32])
def test_the_flagship_on_other_grids_can_be_trained(side):
    """Shapes and counts, no time."""
    from benchmarks import growth

    settings = cfg.override(recipes.load("mnist"), ["batch_size=64"])
    there = growth.networks_on(side, settings, models.build(settings, known.KNOWN[settings.dataset]))
    growth.check_flops(there, settings, side)
    trainer, key = algorithms.build(settings, there), jax.random.key(0)
    batch = Batch(jnp.zeros((64, side, side, 1), jnp.uint8), jnp.zeros(64, jnp.int32))
    jax.eval_shape(trainer.step, key, jax.eval_shape(trainer.init, key), batch)
    by_hand = growth.step_flops(settings, side)
    assert 1.1 < training_step.flops(settings) / growth.step_flops(settings) < 1.2  # with the zeros around a grid
    if side == 28:  # compiled: as it is traced, the pass that D's penalty shares with its scores is counted twice
        at = training_step.problem(settings)
        compiled = jax.jit(at.trainer.step).lower(at.key, at.state, at.batch).compile()
        assert_allclose(by_hand, compiled.cost_analysis()["flops"], rtol=0.02)


def test_the_curve_of_a_recipe_is_kept_until_it_is_run_again(tmp_path, monkeypatch, capsys):
    from benchmarks import time_to_quality as ttq

    def train(recipe, args):
        return [(10.0 * i, tmp_path / str(i)) for i in (1, 2)]

    figures = iter([(0.5, 3.0), (0.99, 0.3), (0.5, 3.0), (0.6, 2.0)])
    monkeypatch.setattr(ttq, "train", train)
    monkeypatch.setattr(ttq, "evaluated", lambda folder: next(figures))
    monkeypatch.setattr(ttq, "draw", lambda *args: None)
    ttq.main(["--recipes", "mnist_fast", "--out", str(tmp_path), "--backend", "cpu"])
    assert re.search(r"mnist_fast +20 s", capsys.readouterr().out)
    ttq.main(["--recipes", "mnist", "--out", str(tmp_path), "--backend", "cpu"])
    said = capsys.readouterr().out
    assert "99.00%, 0.300 at step 2" in said and "from an earlier run" in said and "NOT reached" in said
    assert list(ttq.kept(tmp_path / "time-to-quality.csv")) == ["mnist_fast", "mnist"]
