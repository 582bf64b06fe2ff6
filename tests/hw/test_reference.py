"""The packed reference computes what ``Dataflow.execute`` computes, on every stream."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from popshift.hw.dtypes import BIPOLAR, DataType, signed, unsigned
from popshift.hw.errors import DatatypeError, GraphError
from popshift.hw.graph import Dataflow, Stage, StreamType
from popshift.hw.reference import cache, compile_reference
from popshift.hw.stages import Argmax, Fifo, MatVec, Threshold, Thresholds, Width


@pytest.fixture(scope="module", autouse=True)
def kernels(tmp_path_factory):
    """Keep the compiled kernels of the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def one_stage(stage: Stage) -> Dataflow:
    inputs = dict(zip(stage.inputs, stage.input_types, strict=True))
    return Dataflow(name="net", inputs=inputs, outputs=stage.outputs, stages=(stage,))


def chain(*stages: Stage) -> Dataflow:
    first = stages[0]
    inputs = dict(zip(first.inputs, first.input_types, strict=True))
    return Dataflow(name="net", inputs=inputs, outputs=stages[-1].outputs, stages=stages)


def matvec(weights, dtype=BIPOLAR, thresholds=None, ends=("x", "y"), kernel=None, leading=()):
    return MatVec(
        name=f"to_{ends[1]}",
        inputs=(ends[0],),
        outputs=(ends[1],),
        weights=np.asarray(weights),
        input_dtype=dtype,
        kernel=kernel or ("xnor" if dtype == BIPOLAR else "signed"),
        thresholds=thresholds,
        leading=leading,
    )


def bipolar(rng, *shape):
    return 2 * rng.integers(0, 2, shape) - 1


def signs(rng, neurons, low, high):
    """Return one level per neuron from ``low`` to ``high``, rising and falling."""
    levels = rng.integers(low, high + 1, (neurons, 1))
    return Thresholds(levels=levels, is_rising=rng.integers(0, 2, neurons) == 1)


def staircases(rng, neurons, steps, low, high, dtype, base=0):
    levels = np.sort(rng.integers(low, high + 1, (neurons, steps)), axis=1)
    rising = rng.integers(0, 2, neurons) == 1
    return Thresholds(levels=levels, is_rising=rising, base=base, dtype=dtype)


def stimulus(dataflow, rng, images):
    """Return both ends of the range, then random; as many images as asked for."""
    (kind,) = dataflow.inputs.values()
    low, high = kind.dtype.min, kind.dtype.max
    x = rng.integers(low, high, (images, *kind.shape), endpoint=True)
    x[:1], x[1:2] = low, high
    if kind.dtype == BIPOLAR:
        x[x == 0] = 1
    return x


def assert_equal(dataflow, x):
    expected = dataflow.execute(x)
    reference = compile_reference(dataflow)
    found = reference.streams(x)
    assert list(found) == list(dataflow.streams)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    for name, values in zip(dataflow.outputs, reference(x), strict=True):
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
        assert values.dtype == np.int64


@pytest.mark.parametrize("synapses", [1, 3, 63, 64, 65, 100, 127, 128, 130])
def test_popcounts_reach_both_ends(synapses, rng):
    weights = bipolar(rng, 9, synapses)
    x = np.concatenate([weights, -weights, bipolar(rng, 5, synapses)])
    dataflow = one_stage(matvec(weights))
    (found,) = compile_reference(dataflow)(x)
    assert (np.diag(found[:9]) == synapses).all()
    assert (np.diag(found[9:18]) == 0).all()
    assert_equal(dataflow, x)


def test_popcount_of_128_equal_bits_is_128():
    weights = np.ones((1, 128), int)
    (found,) = compile_reference(one_stage(matvec(weights)))(np.ones((1, 128), np.int8))
    assert found.tolist() == [[128]]


@pytest.mark.parametrize("neurons", [1, 7, 8, 9, 63, 64, 65, 130])
def test_every_number_of_neurons_keeps_padding_out(neurons, rng):
    """A second layer would count bits that the last tile of the first one left behind."""
    first = matvec(
        bipolar(rng, neurons, 70), thresholds=signs(rng, neurons, 30, 40), ends=("x", "h")
    )
    second = matvec(bipolar(rng, 5, neurons), ends=("h", "y"))
    dataflow = chain(first, second)
    assert_equal(dataflow, stimulus(dataflow, rng, 9))


def test_levels_at_the_tie_and_beyond_both_ends(rng):
    """Every level from below 0 to above K, rising and falling: also the constant ones."""
    synapses = 6
    levels = np.repeat(np.arange(-2, synapses + 4), 2)
    far = np.array([-(2**63), -(2**63), 2**63 - 1, 2**63 - 1])
    levels = np.concatenate([levels, far])[:, None]
    rising = np.arange(len(levels)) % 2 == 0
    thresholds = Thresholds(levels=levels, is_rising=rising)
    first = matvec(np.ones((len(levels), synapses), int), thresholds=thresholds, ends=("x", "h"))
    every_popcount = 2 * np.tri(synapses + 1, synapses, -1, dtype=int) - 1
    assert_equal(chain(first), every_popcount)
    second = matvec(bipolar(rng, 3, len(levels)), ends=("h", "y"))
    assert_equal(chain(first, second), every_popcount)


@pytest.mark.parametrize("images", [0, 1, 7, 127, 128, 129, 256, 300])
def test_every_batch_size(images, rng):
    first = matvec(bipolar(rng, 70, 100), thresholds=signs(rng, 70, 45, 55), ends=("x", "h"))
    dataflow = chain(first, matvec(bipolar(rng, 10, 70), ends=("h", "y")))
    assert_equal(dataflow, stimulus(dataflow, rng, images))


@pytest.mark.parametrize(
    "dtype",
    [BIPOLAR, unsigned(1), unsigned(5), unsigned(8), signed(1), signed(2), signed(8), signed(33)],
    ids=lambda dtype: dtype.name,
)
@pytest.mark.parametrize("values", [(-1, 1), (-1, 0, 1)], ids=["binary", "ternary"])
def test_signed_kernel_for_every_input(dtype, values, rng):
    weights = rng.choice(values, (11, 67))
    weights[-1] = values[1]  # all 1, or all 0
    plain = one_stage(matvec(weights, dtype, kernel="signed"))
    x = stimulus(plain, rng, 12)
    x[2:4] = np.where(weights[:2] > 0, dtype.max, dtype.min)  # the greatest accumulators
    x[4:6] = np.where(weights[:2] < 0, dtype.max, dtype.min)  # and the least
    assert_equal(plain, x)

    sums = plain.execute(x)["y"]
    thresholds = signs(rng, 11, int(sums.min()) - 1, int(sums.max()) + 1)
    first = matvec(weights, dtype, thresholds, ("x", "h"), "signed")
    assert_equal(chain(first, matvec(bipolar(rng, 4, 11), ends=("h", "y"))), x)


@pytest.mark.parametrize(
    ("dtype", "steps", "base"),
    [(unsigned(1), 1, 0), (signed(1), 1, -1), (unsigned(2), 3, 0), (signed(3), 7, -4),
     (signed(3), 5, -2), (unsigned(4), 15, 0)],
)  # fmt: skip
def test_multi_bit_thresholds_feed_the_next_layer(dtype: DataType, steps, base, rng):
    thresholds = staircases(rng, 66, steps, 25, 45, dtype, base)
    first = matvec(bipolar(rng, 66, 70), thresholds=thresholds, ends=("x", "h"))
    second = matvec(rng.integers(-1, 2, (5, 66)), dtype, ends=("h", "y"))
    dataflow = chain(first, second)
    assert_equal(dataflow, stimulus(dataflow, rng, 20))
    assert_equal(chain(first), stimulus(dataflow, rng, 20))


def test_accumulators_feed_a_layer_without_thresholds(rng):
    first = matvec(bipolar(rng, 70, 64), signed(4), ends=("x", "h"))
    second = matvec(bipolar(rng, 3, 70), first.accumulator_dtype, ends=("h", "y"))
    dataflow = chain(first, second)
    assert_equal(dataflow, stimulus(dataflow, rng, 6))


def test_threshold_stage_on_inputs_and_on_accumulators(rng):
    stage = Threshold(
        name="quantize",
        inputs=("x",),
        outputs=("h",),
        thresholds=staircases(rng, 70, 3, -9, 9, signed(3), -2),
        input_dtype=signed(5),
    )
    sums = matvec(bipolar(rng, 9, 70), signed(3), ends=("h", "s"))
    last = Threshold(
        name="sign",
        inputs=("s",),
        outputs=("y",),
        thresholds=signs(rng, 9, -5, 5),
        input_dtype=sums.accumulator_dtype,
    )
    dataflow = chain(stage, sums, last)
    assert_equal(dataflow, stimulus(dataflow, rng, 30))


def test_argmax_takes_the_first_of_equals(rng):
    sums = matvec(bipolar(rng, 10, 9), ends=("x", "s"))
    best = Argmax(
        name="best", inputs=("s",), outputs=("y",), classes=10, input_dtype=sums.accumulator_dtype
    )
    dataflow = chain(sums, best)
    x = stimulus(dataflow, rng, 200)
    logits = dataflow.execute(x)["s"]
    assert ((logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1).any()
    assert_equal(dataflow, x)


def test_argmax_of_inputs_below_zero(rng):
    stage = Argmax(name="best", inputs=("x",), outputs=("y",), classes=5, input_dtype=signed(8))
    dataflow = one_stage(stage)
    assert_equal(dataflow, stimulus(dataflow, rng, 50))


def test_fifos_and_width_converters_change_nothing(rng):
    weights = bipolar(rng, 8, 12)
    wide = Width(
        name="widen",
        inputs=("x",),
        outputs=("w",),
        type=StreamType(dtype=BIPOLAR, shape=(12,), lanes=1),
        lanes=4,
    )
    fifo = Fifo(name="wait", inputs=("w",), outputs=("f",), type=wide.output_types[0], depth=2)
    layer = matvec(weights, ends=("f", "s")).with_(simd=4)
    after = Fifo(name="after", inputs=("s",), outputs=("y",), type=layer.output_types[0], depth=2)
    assert_equal(chain(wide, fifo, layer, after), bipolar(rng, 5, 12))
    assert_equal(chain(wide, fifo), bipolar(rng, 5, 12))


def test_vectors_of_an_image(rng):
    """A feature map is a row of vectors; each goes through the same matrix."""
    first = matvec(
        bipolar(rng, 66, 5), thresholds=signs(rng, 66, 1, 4), ends=("x", "h"), leading=(3, 4)
    )
    dataflow = chain(first, matvec(bipolar(rng, 3, 66), ends=("h", "y"), leading=(3, 4)))
    assert_equal(dataflow, stimulus(dataflow, rng, 131))


def test_two_separate_paths(rng):
    left = matvec(bipolar(rng, 4, 10), ends=("a", "c"))
    right = matvec(bipolar(rng, 5, 6), unsigned(3), ends=("b", "d"))
    dataflow = Dataflow(
        name="net",
        inputs={"b": right.input_types[0], "a": left.input_types[0]},
        outputs=("c", "d"),
        stages=(left, right),
    )
    reference = compile_reference(dataflow)
    b, a = rng.integers(0, 8, (9, 6)), bipolar(rng, 9, 10)
    expected = dataflow.execute(b, a)
    for name, values in zip(dataflow.outputs, reference(b, a), strict=True):
        np.testing.assert_array_equal(values, expected[name])
    with pytest.raises(GraphError, match=r"\[8, 9\] images"):
        reference(b[:8], a)


@dataclass(frozen=True, kw_only=True, eq=False)
class Unknown(Fifo):
    """A stage that no kernel knows: adds 1 in its own ``execute``."""

    kind = "unknown"

    def execute(self, *inputs):
        return (np.minimum(inputs[0] + 1, self.type.dtype.max),)


def test_unknown_stages_run_by_their_own_execute(rng):
    first = matvec(
        bipolar(rng, 6, 9), thresholds=staircases(rng, 6, 3, 2, 8, unsigned(2)), ends=("x", "h")
    )
    odd = Unknown(name="odd", inputs=("h",), outputs=("o",), type=first.output_types[0], depth=1)
    last = matvec(bipolar(rng, 3, 6), unsigned(2), ends=("o", "y"))
    dataflow = chain(first, odd, last)
    x = stimulus(dataflow, rng, 140)
    assert (dataflow.execute(x)["o"] != dataflow.execute(x)["h"]).any()
    assert_equal(dataflow, x)


def test_an_index_feeds_a_layer(rng):
    """An argmax leaves integers, a layer takes bits: two kernels."""
    best = Argmax(name="best", inputs=("x",), outputs=("h",), classes=4, input_dtype=signed(4))
    dataflow = chain(best, matvec(np.array([[1], [-1]]), unsigned(2), ends=("h", "y")))
    assert_equal(dataflow, stimulus(dataflow, rng, 9))


def test_a_dataflow_without_stages_returns_its_inputs(rng):
    kind = StreamType(dtype=BIPOLAR, shape=(3,), lanes=1)
    dataflow = Dataflow(name="wire", inputs={"x": kind}, outputs=("x",), stages=())
    x = bipolar(rng, 4, 3)
    assert_equal(dataflow, x)
    with pytest.raises(DatatypeError, match="element"):
        compile_reference(dataflow)(x * 2)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int64, np.uint64, np.float32])
@pytest.mark.parametrize("synapses", [20, 64, 70])
def test_every_element_type_gives_the_same(dtype, synapses, rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, synapses), unsigned(7)))
    x = stimulus(dataflow, rng, 5)
    reference = compile_reference(dataflow)
    expected = dataflow.execute(x)["y"]
    np.testing.assert_array_equal(reference(x.astype(dtype))[0], expected)
    np.testing.assert_array_equal(reference(np.asfortranarray(x.astype(dtype)))[0], expected)
    frozen = x.astype(dtype)
    frozen.setflags(write=False)
    np.testing.assert_array_equal(reference(frozen)[0], expected)
    np.testing.assert_array_equal(reference(x.astype(dtype).tolist())[0], expected)


@pytest.mark.parametrize("synapses", [20, 70])
def test_pixels_from_128_to_255_are_positive(synapses, rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, synapses), unsigned(8)))
    x = stimulus(dataflow, rng, 5)
    assert x.max() == 255
    (found,) = compile_reference(dataflow)(x.astype(np.uint8))
    np.testing.assert_array_equal(found, dataflow.execute(x)["y"])


@pytest.mark.parametrize("element", [np.int8, np.int64, np.float64])
@pytest.mark.parametrize("position", [0, 63, 64, 69])
@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [(BIPOLAR, 0), (BIPOLAR, 2), (BIPOLAR, -3), (unsigned(3), -1), (unsigned(3), 8),
     (signed(3), -5), (signed(3), 4)],
)  # fmt: skip
def test_a_value_outside_is_refused_like_in_execute(element, position, dtype, wrong, rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, 70), dtype))
    x = stimulus(dataflow, rng, 4)
    x[2, position] = wrong
    with pytest.raises(DatatypeError) as expected:
        dataflow.execute(x)
    reference = compile_reference(dataflow)
    with pytest.raises(DatatypeError, match=rf"\(2, {position}\)") as found:
        reference(x.astype(element))
    assert str(found.value).split(" is ")[0] == str(expected.value).split(" is ")[0]
    with pytest.raises(DatatypeError):
        reference.streams(x.astype(element))


@pytest.mark.parametrize("element", [np.int8, np.uint8])
@pytest.mark.parametrize("synapses", [20, 70])
def test_arrays_narrower_than_the_datatype_are_taken(element, synapses, rng):
    limits = np.iinfo(element)
    x = rng.integers(limits.min, limits.max, (5, synapses), dtype=element, endpoint=True)
    x[0], x[1] = limits.min, limits.max
    dataflow = one_stage(matvec(bipolar(rng, 3, synapses), signed(12)))
    (found,) = compile_reference(dataflow)(x)
    np.testing.assert_array_equal(found, dataflow.execute(x)["y"])


@pytest.mark.parametrize(
    ("dtype", "wrong"),
    [(unsigned(2), -1), (unsigned(2), 4), (unsigned(2), 100), (BIPOLAR, 0), (BIPOLAR, 2)],
)
def test_a_value_outside_is_refused_in_short_vectors(dtype, wrong, rng):
    reference = compile_reference(one_stage(matvec(bipolar(rng, 3, 5), dtype)))
    x = np.ones((2, 5), np.int8)
    x[1, 4] = wrong
    with pytest.raises(DatatypeError, match=r"\(1, 4\)"):
        reference(x)


def test_fractions_are_refused(rng):
    reference = compile_reference(one_stage(matvec(bipolar(rng, 3, 5), unsigned(2))))
    with pytest.raises(DatatypeError, match=r"0\.5"):
        reference(np.full((1, 5), 0.5))


def test_wrong_shapes_and_numbers_of_inputs_are_refused(rng):
    reference = compile_reference(one_stage(matvec(bipolar(rng, 3, 70))))
    for x in (bipolar(rng, 2, 71), bipolar(rng, 70), bipolar(rng, 2, 70, 1), np.int64(1)):
        with pytest.raises(GraphError, match="must be"):
            reference(x)
        with pytest.raises(GraphError, match="must be"):
            reference.streams(x)
    with pytest.raises(GraphError, match="takes 1 inputs, got 2"):
        reference(bipolar(rng, 2, 70), bipolar(rng, 2, 70))
    with pytest.raises(GraphError, match="takes 1 inputs, got 0"):
        reference()


def test_results_of_one_call_survive_the_next(rng):
    dataflow = one_stage(matvec(bipolar(rng, 3, 70)))
    reference = compile_reference(dataflow)
    x = bipolar(rng, 2, 5, 70)
    (first,) = reference(x[0])
    streams = reference.streams(x[0])
    reference(x[1])
    np.testing.assert_array_equal(first, dataflow.execute(x[0])["y"])
    np.testing.assert_array_equal(streams["y"], first)


def small_network():
    rng = np.random.default_rng(5)
    first = matvec(bipolar(rng, 9, 33), thresholds=signs(rng, 9, 10, 22), ends=("x", "h"))
    return chain(first, matvec(bipolar(rng, 4, 9), ends=("h", "y"))), bipolar(rng, 3, 33)


def other_network():
    """Return a network whose kernel takes the same types of arguments."""
    rng = np.random.default_rng(6)
    first = matvec(bipolar(rng, 8, 33), thresholds=signs(rng, 8, 10, 22), ends=("x", "h"))
    return chain(first, matvec(bipolar(rng, 4, 8), ends=("h", "y"))), bipolar(rng, 3, 33)


def test_networks_of_one_shape_share_a_kernel(tmp_path, monkeypatch, rng):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        first = matvec(bipolar(rng, 9, 33), thresholds=signs(rng, 9, 10, 22), ends=("x", "h"))
        dataflow = chain(first, matvec(bipolar(rng, 4, 9), ends=("h", "y")))
        assert_equal(dataflow, bipolar(rng, 3, 33))
    assert len(list(cache.folder().iterdir())) == 1


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*.nbc", "flip"),
        ("*.nbc", "cut"),
        ("*.nbi", "flip"),
        ("*.nbi", "remove"),
        ("kernel.py", "cut"),
        ("checksums.json", "cut"),
        ("checksums.json", "remove"),
    ],
)
def test_a_damaged_cache_entry_is_rebuilt(pattern, damage, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataflow, x = small_network()
    assert_equal(dataflow, x)
    (file,) = cache.folder().rglob(pattern)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    if damage == "remove":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:middle])
    else:
        content[middle] ^= 0xFF
        file.write_bytes(content)
    assert_equal(dataflow, x)
    (entry,) = cache.folder().iterdir()
    assert cache.is_sound(entry)


SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_reference as tests
tests.assert_equal(*tests.other_network())
tests.assert_equal(*tests.small_network())
"""


def start_process(cache_home):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache_home)}
    return subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment)


def test_another_process_takes_the_compiled_kernels(tmp_path, monkeypatch):
    """It also compiles one more first, whose machine code must not be taken for the other's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert_equal(*small_network())
    (code,) = cache.folder().rglob("*.nbc")
    before = code.stat().st_mtime_ns
    assert start_process(tmp_path).wait(timeout=120) == 0
    assert start_process(tmp_path).wait(timeout=120) == 0
    assert code.stat().st_mtime_ns == before
    assert len(list(cache.folder().iterdir())) == 2


@pytest.mark.parametrize("obstacle", ["file", "read-only"])
def test_kernels_stay_in_memory_where_the_cache_cannot_be_written(obstacle, tmp_path, monkeypatch):
    place = tmp_path / "cache"
    if obstacle == "file":
        place.write_text("in the way")
    else:
        # Like a full or read-only disk, also for a user who may write everywhere.
        monkeypatch.setattr(cache.tempfile, "mkstemp", _refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    assert_equal(*small_network())


def _refuse(*_arguments, **_keywords):
    raise OSError(28, "No space left on device")


def test_two_processes_compile_at_once(tmp_path):
    processes = [start_process(tmp_path) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    entries = list((tmp_path / "popshift" / "reference").iterdir())
    assert len(entries) == 2
    assert all(cache.is_sound(entry) for entry in entries)
