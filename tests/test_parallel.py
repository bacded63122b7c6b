"""More than one core or device: order, laziness, shares of a batch, and the same training to rounding."""

import json
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cganjax
from cganjax import parallel


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_and_not_far_ahead(monkeypatch, threads):
    monkeypatch.setattr(parallel, "cores", lambda: threads)
    begun, names = [], set()
    both = threading.Barrier(2, timeout=60)

    def call(i):
        begun.append(i)
        names.add(threading.current_thread().name)
        if threads > 1 and i < 2:
            both.wait()  # ends only where two calls run at once
        return 10 * i

    for i, result in enumerate(parallel.in_turn(call, range(20))):
        assert result == 10 * i
        assert len(begun) <= i + 1 + (threads + 1 if threads > 1 else 0), "memory is bounded by a few items"
    assert sorted(begun) == list(range(20))
    assert (len(names) > 1) == (threads > 1)
    assert list(parallel.in_turn(call, [])) == []


def test_settings_of_the_asking_thread_hold_in_the_others(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 2)

    def seen(i):
        return jax.config.jax_default_matmul_precision, jax.config.jax_debug_nans

    with jax.default_matmul_precision("highest"), jax.debug_nans(True):
        assert list(parallel.in_turn(seen, range(5))) == [("highest", True)] * 5
    assert set(parallel.in_turn(seen, range(5))) == {(None, False)}
    with jax.threefry_partitionable(not jax.config.jax_threefry_partitionable), jax.numpy_dtype_promotion("standard"):
        many, few = (np.asarray(cganjax.sample(jax.random.key(0), [3] * n)) for n in (40, 32))
        assert (many[:32] == few).all(), "image i is image i, on whichever thread it was drawn"


def test_work_that_nobody_waits_for_is_not_begun(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    begun, gate = [], threading.Event()

    def call(i):
        begun.append(i)
        if i:
            gate.wait(60)
        return i

    parallel._pool(2).submit(gate.wait, 60)  # one thread is busy; the other does 0 and then stays with 1
    results = parallel.in_turn(call, range(20))
    assert next(results) == 0
    results.close()  # the taker leaves while 2 waits for a thread
    gate.set()
    assert list(parallel.in_turn(lambda i: i, range(5))) == [0, 1, 2, 3, 4]  # every thread is free again
    assert begun in ([0], [0, 1])


def test_work_within_work_does_not_wait_for_itself(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    inner = lambda i: sum(parallel.in_turn(lambda j: i * j, range(5)))  # noqa: E731
    assert list(parallel.in_turn(inner, range(6))) == [10 * i for i in range(6)]


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        list(parallel.in_turn(lambda i: 1 // (3 - i), range(10)))


@pytest.mark.parametrize(
    ("batch", "limit", "expected"),
    [(64, 2, 2), (64, 8, 2), (128, 3, 2), (96, 3, 3), (32, 4, 1), (63, 2, 1), (256, 8, 8)],
)
def test_shares_are_equal_and_not_small(batch, limit, expected):
    assert parallel.devices_for(batch, limit) == expected


@pytest.mark.slow
def test_two_devices_train_as_one_does_to_rounding(tmp_path):
    """By the command, as devices are counted before JAX begins; and a run goes on as it began."""
    base = [
        sys.executable,
        "-m",
        "experiments.train",
        "--recipe",
        "digits",
        "--backend",
        "cpu",
        "--steps",
        "4",
        "--set",
        "log_every=1",
        "--set",
        "generator.width_7=8",
        "--set",
        "generator.width_14=8",
    ]

    def metrics(folder):
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return np.array([[row[k] for k in ("loss_generator", "loss_discriminator", "r1", "r2")] for row in rows])

    def run(folder, *more):
        done = subprocess.run([*base, "--out", str(folder), *more], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return metrics(folder), json.loads((folder / "manifest.json").read_text())["devices"]

    one, of_one = run(tmp_path / "one", "--devices", "1")
    two, of_two = run(tmp_path / "two", "--devices", "2")
    assert (of_one, of_two) == (1, 2)
    np.testing.assert_allclose(two, one, rtol=2e-3)
    run(tmp_path / "parts", "--devices", "2", "--stop-after", "2")
    resumed, of_resumed = run(tmp_path / "parts")
    assert of_resumed == 2 and (resumed == two).all(), "the same bits, the number of devices kept"
    refused = subprocess.run([*base, "--out", str(tmp_path / "no"), "--devices", "3"], capture_output=True, text=True)
    assert refused.returncode == 2 and "divisor of the batch_size" in refused.stderr


def test_a_state_on_one_device_is_itself():
    spread = parallel.Spread(1)
    state = spread.place({"a": jax.numpy.arange(3)})
    assert (np.asarray(spread.one(state)["a"]) == [0, 1, 2]).all()


# --- chunks -----------------------------------------------------------------------------------------------------------


def test_chunks_are_put_together_in_order():
    seen = []

    def twice(arrays):
        images, (labels, none) = arrays
        seen.append(len(labels))
        return {"images": 2 * images, "labels": labels, "none": none}

    images, labels = np.arange(14.0).reshape(7, 2), np.arange(7)
    for size, pad, calls in (
        (3, False, [3, 3, 1]),
        (3, True, [3, 3, 3]),
        (7, True, [7]),
        (9, False, [7]),
        (9, True, [9]),
    ):
        for threads in (False, True):
            seen.clear()
            found = parallel.chunked(twice, (images, (jnp.asarray(labels), None)), size, pad=pad, threads=threads)
            assert sorted(seen) == sorted(calls)
            np.testing.assert_array_equal(found["images"], 2 * images)
            np.testing.assert_array_equal(found["labels"], labels)
            assert found["none"] is None
    assert parallel.chunked(lambda x: x, np.zeros((0, 2)), 3).shape == (0, 2)


def test_under_a_transformation_there_is_one_chunk():
    seen = []
    f = jax.jit(lambda x: parallel.chunked(lambda y: seen.append(y.shape) or 2 * y, x, 2, pad=True))
    np.testing.assert_array_equal(f(jnp.arange(5)), 2 * np.arange(5))
    assert seen == [(5,)]


@pytest.mark.parametrize(
    ("n", "calls"), [(1, [2]), (2, [2]), (3, [4]), (4, [4]), (5, [2, 4]), (9, [2, 4, 4]), (12, [4, 4, 4])]
)
def test_of_several_sizes_the_last_chunk_has_the_next(n, calls):
    seen = []
    found = parallel.chunked(lambda x: seen.append(len(x)) or jnp.asarray(2 * x), np.arange(n), (2, 4), pad=True)
    assert sorted(seen) == calls
    np.testing.assert_array_equal(found, 2 * np.arange(n))


def test_a_result_is_placed_without_a_copy():
    found = parallel.chunked(lambda x: 2 * x, np.arange(7.0, dtype=np.float32), 3, pad=True)
    assert jax.device_put(found).unsafe_buffer_pointer() == found.ctypes.data


def test_constants_of_a_transformation_are_one_chunk():
    double = jax.jit(lambda x: 2 * x)
    f = jax.jit(lambda one: one + jnp.asarray(parallel.chunked(double, np.arange(5.0), 2, pad=True)))
    np.testing.assert_array_equal(f(1.0), 2 * np.arange(5) + 1)
