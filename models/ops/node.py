"""One node of our own domain in an exported graph, for both of torch's exporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .definition import DOMAIN, VERSION
from .quantizers import QONNX, QONNX_VERSION

Attributes = Mapping[str, int | float | str | Sequence[int]]

_VERSIONS = {DOMAIN: VERSION, QONNX: QONNX_VERSION}


def emit(
    op: str,
    inputs: tuple[Tensor, ...],
    attributes: Attributes,
    *,
    like: Callable[..., Tensor],
    domain: str = DOMAIN,
) -> Tensor:
    """Return the result of a node of our own domain, or of another, during an export.

    A layer calls it where ``torch.onnx.is_in_onnx_export()``; the values do not matter then.

    Args:
        op: Name of the operator.
        inputs: Its inputs, in order.
        attributes: Its attributes.
        like: Operator of torch whose result for ``inputs`` has the same shape.
        domain: ``popshift.ops``, or the domain of QONNX' operators.
    """
    result = like(*inputs)
    shape = tuple(int(size) for size in result.shape)
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        traced: Tensor = _TracedNode.apply(f"{domain}::{op}", attributes, shape, *inputs)
        return traced
    exported: Tensor = torch.onnx.ops.symbolic(
        f"{domain}::{op}",
        inputs,
        dict(attributes),
        dtype=result.dtype,
        shape=shape,
        version=_VERSIONS[domain],
    )
    return exported


class _TracedNode(torch.autograd.Function):
    """What the TorchScript exporter records as one node."""

    @staticmethod
    def forward(
        ctx: Any, op: str, attributes: Attributes, shape: tuple[int, ...], *inputs: Tensor
    ) -> Tensor:
        """Return zeros of the right shape."""
        return inputs[0].new_zeros(shape)

    @staticmethod
    def symbolic(
        g: Any, op: str, attributes: Attributes, shape: tuple[int, ...], *inputs: Any
    ) -> Any:
        """Return the node of the graph ``g``, with its shape."""
        typed = {f"{name}_{_letter(value)}": value for name, value in attributes.items()}
        node = g.op(op, *inputs, **typed)
        node.setType(inputs[0].type().with_sizes(list(shape)))
        return node


def _letter(value: int | float | str | Sequence[int]) -> str:
    """Return what marks the type of an attribute in the name that torch expects."""
    if isinstance(value, str):
        return "s"
    return "f" if isinstance(value, float) else "i"
