"""Activations in fixed point."""

from __future__ import annotations

from typing import Literal, get_args

from brevitas.nn.quant_layer import QuantNonLinearActLayer

from ..quant.fixed_point import Ceiling, FixedPointActQuant, check_bits

FixedPointMode = Literal["exact", "official"]


class FixedPointAct(QuantNonLinearActLayer):
    """``floor(x * 2^F) / 2^F``, clamped to a signed number of I + F bits; gradient ``g``.

    Args:
        integer_bits: I, bits before the point, with the sign.
        fraction_bits: F, bits behind it.
        mode: ``exact``: up to the largest number of the bits, ``2^(I-1) - 2^-F``; ``official``: up
            to ``2^(I-1) - 1``, as DeepShift's repository has it.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self, integer_bits: int, fraction_bits: int, *, mode: FixedPointMode = "exact"
    ) -> None:
        if mode not in get_args(FixedPointMode):
            raise ValueError(
                f"fixed point: mode={mode!r} is none of {', '.join(get_args(FixedPointMode))}"
            )
        check_bits(integer_bits, fraction_bits)
        # The clamp of the quantizer itself exports as that of its bits, another needs a node.
        top = {} if mode == "exact" else {"top": 2.0 ** (integer_bits - 1) - 1}
        super().__init__(
            act_impl=Ceiling if top else None,
            passthrough_act=not top,
            input_quant=None,
            act_quant=FixedPointActQuant,
            return_quant_tensor=False,
            integer_bits=integer_bits,
            fraction_bits=fraction_bits,
            **top,
        )
