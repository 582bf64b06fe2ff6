"""A board: its FPGA, its clock, its pins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ...hw.errors import PopshiftError

Family = Literal["ecp5"]


class BoardError(PopshiftError, ValueError):
    """A board is unknown or cannot do what is asked."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pin of the FPGA's package.

    Attributes:
        site: Name of the ball.
        pull: Pull resistor inside the FPGA.
        drive_ma: Drive strength of an output in mA, or None for an input.
    """

    site: str
    pull: Literal["NONE", "UP", "DOWN"] = "NONE"
    drive_ma: int | None = None


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board on which an accelerator talks to a host over a serial line.

    Attributes:
        name: Name in configurations, such as ``ulx3s-85f``.
        family: FPGA family, which chooses the synthesis plan.
        device: Name of the FPGA.
        device_flag: How nextpnr is told the device.
        package: Package, as nextpnr names it.
        clock_mhz: Frequency of the clock at ``clock``.
        clock: Clock input.
        rxd: Input that receives from the host.
        txd: Output that sends to the host.
        button: Input that is 1 while the reset button is pressed.
        leds: Outputs that light an LED at 1, lowest first, 2 to 8.
        tied_high: Outputs that the board wants at 1, by port name.
        io_type: I/O standard of all pins.
        system: Words of the family's line of configuration options.
        lut: 4-input lookup tables.
        bram: Block RAMs of 18 kbit.
        dsp: Multiplier blocks; popshift uses none.
    """

    name: str
    family: Family
    device: str
    device_flag: str
    package: str
    clock_mhz: float
    clock: Pin
    rxd: Pin
    txd: Pin
    button: Pin
    leds: tuple[Pin, ...]
    tied_high: Mapping[str, Pin] = field(default_factory=dict)
    io_type: str
    system: str
    lut: int
    bram: int
    dsp: int

    def __post_init__(self) -> None:
        if not 2 <= len(self.leds) <= 8:
            raise BoardError(f"{self.name}: leds must be 2 to 8 pins, got {len(self.leds)}")
        sites = [pin.site for pin in self.ports.values()]
        for site in sites:
            if sites.count(site) > 1:
                raise BoardError(f"{self.name}: two ports share the pin {site}")

    @property
    def top(self) -> str:
        """Name of the top-level module; boards that differ in the device only share it."""
        return f"{self.name.split('-')[0]}_top"

    @property
    def ports(self) -> dict[str, Pin]:
        """Pin of each port bit of the top level."""
        leds = {f"led[{index}]": pin for index, pin in enumerate(self.leds)}
        return {
            "clk": self.clock,
            "uart_rxd": self.rxd,
            "uart_txd": self.txd,
            "button": self.button,
            **leds,
            **self.tied_high,
        }
