"""Windows against a plain loop, their rate and the size of their line buffers."""

from __future__ import annotations

import numpy as np
import pytest

from popshift.flows.conformance import bench
from popshift.hw import cost
from popshift.hw.dtypes import BIPOLAR, signed, unsigned
from popshift.hw.errors import DatatypeError, FoldingError, GraphError, SimulationError
from popshift.hw.schedule import Buffer, Schedule, Thread, table
from popshift.hw.sim import simulate
from popshift.hw.stages import Window


def window(**changes: object) -> Window:
    fields: dict[str, object] = {
        "name": "w",
        "inputs": ("x",),
        "outputs": ("y",),
        "input_dtype": signed(4),
        "height": 5,
        "width": 6,
        "channels": 4,
        "kernel": (3, 3),
        "simd": 2,
    }
    return Window(**(fields | changes))  # type: ignore[arg-type]


def last_cycles(stage: Window, images: int = 5) -> list[int]:
    """Return the cycles between the last beats of successive images."""
    cycles = simulate(bench((stage,)), images=images).cycles[stage.outputs[0]]
    return np.diff(cycles.reshape(images, -1)[:, -1]).tolist()


def plain_windows(stage: Window, x: np.ndarray) -> np.ndarray:
    rows, columns = stage.lines.out_shape
    taps = [(ky, kx) for ky in range(stage.kernel[0]) for kx in range(stage.kernel[1])]
    y = np.full((len(x), rows, columns, len(taps), stage.channels), stage.pad_value)
    for oy, ox, tap in np.ndindex(rows, columns, len(taps)):
        iy = oy * stage.stride[0] - stage.padding[0] + taps[tap][0] * stage.dilation[0]
        ix = ox * stage.stride[1] - stage.padding[1] + taps[tap][1] * stage.dilation[1]
        if 0 <= iy < stage.height and 0 <= ix < stage.width:
            y[:, oy, ox, tap] = x[:, iy, ix]
    groups = np.split(y, stage.groups, axis=-1)
    return np.concatenate([g.reshape(len(x), rows, columns, -1) for g in groups], axis=-1)


@pytest.mark.parametrize("seed", range(40))
def test_execute_equals_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stage = Window.random("w", rng)
    x = stage.input_dtype.random((3, *stage.input_types[0].shape), rng)
    (y,) = stage.execute(x)
    assert y.shape[1:] == stage.output_types[0].shape
    np.testing.assert_array_equal(y, plain_windows(stage, x))


@pytest.mark.parametrize("seed", range(60))
def test_no_smaller_line_buffer_gives_the_full_rate(seed: int) -> None:
    stage = Window.random("w", np.random.default_rng(seed)).with_(depth=None)
    slower = max(stage.input_types[0].beats, stage.output_types[0].beats)
    assert last_cycles(stage)[-1] == slower
    capacity = stage.lines.full_rate_capacity
    assert last_cycles(stage.with_(depth=capacity))[-1] == slower
    if capacity > stage.lines.least_capacity:
        assert last_cycles(stage.with_(depth=capacity - 1))[-1] > slower
    assert last_cycles(stage.with_(depth=stage.lines.least_capacity))[-1] >= slower
    with pytest.raises(GraphError, match=r"w: depth=\d+ must be >="):
        stage.with_(depth=stage.lines.least_capacity - 1)


@pytest.mark.parametrize("seed", range(60))
def test_the_line_buffer_fills_its_memory(seed: int) -> None:
    stage = Window.random("w", np.random.default_rng(seed)).with_(depth=None)
    lines = stage.lines
    assert lines.capacity >= lines.full_rate_capacity
    fewest = cost.ram(lines.full_rate_capacity, lines.word_bits)
    filled = cost.ram(lines.capacity, lines.word_bits)
    assert (filled.lut, filled.bram) == (fewest.lut, fewest.bram)
    if cost.is_block_ram(lines.full_rate_capacity, lines.word_bits):
        assert lines.capacity % 512 == 0
    elif filled != fewest:
        assert lines.capacity % cost.LUT_RAM_DEPTH == 0


def test_a_padded_3x3_window_needs_two_rows_and_three_pixels() -> None:
    stage = window(height=32, width=32, padding=(1, 1, 1, 1))
    assert stage.lines.full_rate_capacity == (2 * 32 + 3) * 2
    wide = window(height=32, width=32, channels=64, simd=32)
    assert wide.lines.full_rate_capacity < 512 == wide.lines.capacity
    assert window(height=32, width=32).lines.least_capacity == (2 * 32 + 3) * 2


def test_a_window_without_its_words_is_a_deadlock() -> None:
    stage = window()
    lines = stage.lines
    lines.__dict__["capacity"] = lines.least_capacity - 1
    with pytest.raises(SimulationError, match="deadlock"):
        simulate(bench((stage,)), images=1)


def test_padding_is_not_emitted_before_its_image_came() -> None:
    trace = simulate(bench((window(padding=(1, 1, 1, 1)),)), images=1, gaps={"x": [50]})
    assert trace.cycles["y"][0] == 50 + 1 + 3


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"simd": 3}, FoldingError, "w: simd=3 must divide channels=4"),
        ({"kernel": (6, 1)}, GraphError, "w: a window of 6 x 1 is larger"),
        ({"padding": (3, 0, 0, 0)}, GraphError, r"w: padding \(3, 0, 0, 0\) must be smaller"),
        ({"stride": (0, 1)}, GraphError, "w: sizes must be >= 1"),
        ({"padding": (1, 1, 1, 1), "input_dtype": BIPOLAR}, DatatypeError, "pad_value"),
        ({"pad_value": 8}, DatatypeError, "pad_value"),
        ({"input_dtype": unsigned(32)}, GraphError, "up to 31 bits"),
    ],
)
def test_impossible_windows_are_refused(
    changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        window(**changes)


def test_buffers_refuse_nonsense() -> None:
    def buffer(needs: list[int], releases: list[int], capacity: int = 1) -> Buffer:
        return Buffer(
            writer=0,
            reader=1,
            capacity=capacity,
            latency=1,
            needs=np.array(needs, np.int32),
            releases=np.array(releases, np.int32),
        )

    threads = (
        Thread(consumes={"s_axis": table(2, slice(None))}, produces={}),
        Thread(consumes={}, produces={"m_axis": table(2, 0)}),
    )
    Schedule(threads=threads, pipes={}, buffers=(buffer([1, 2], [0, 2]),))
    with pytest.raises(ValueError, match="must not descend"):
        buffer([2, 1], [0, 2])
    with pytest.raises(ValueError, match="capacity and latency"):
        buffer([1, 2], [0, 2], capacity=0)
    with pytest.raises(ValueError, match="one length"):
        buffer([1, 2], [2])
    with pytest.raises(ValueError, match="as long as the reader"):
        Schedule(threads=threads, pipes={}, buffers=(buffer([1], [2]),))
    with pytest.raises(ValueError, match="release all its 2 words"):
        Schedule(threads=threads, pipes={}, buffers=(buffer([1, 2], [0, 1]),))
