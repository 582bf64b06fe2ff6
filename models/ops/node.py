"""One node of our own domain in an exported graph, for both of torch's exporters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .definition import DOMAIN, VERSION

Attributes = Mapping[str, int | float | str | Sequence[int]]
Compute = Callable[..., Tensor]


def emit(op: str, inputs: tuple[Tensor, ...], attributes: Attributes, compute: Compute) -> Tensor:
    """Return ``compute(*inputs)``; in an export, as one node of the domain ``popshift.ops``.

    Args:
        op: Name of the operator.
        inputs: Its inputs, in order.
        attributes: Its attributes.
        compute: What it computes; only shapes matter in an export.
    """
    if not torch.onnx.is_in_onnx_export():
        return compute(*inputs)
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        traced: Tensor = _TracedNode.apply(op, attributes, compute, *inputs)
        return traced
    result = compute(*inputs)
    exported: Tensor = torch.onnx.ops.symbolic(
        f"{DOMAIN}::{op}",
        inputs,
        dict(attributes),
        dtype=result.dtype,
        shape=result.shape,
        version=VERSION,
    )
    return exported


class _TracedNode(torch.autograd.Function):
    """What the TorchScript exporter records as one node."""

    @staticmethod
    def forward(
        ctx: Any, op: str, attributes: Attributes, compute: Compute, *inputs: Tensor
    ) -> Tensor:
        """Return ``compute(*inputs)``."""
        return compute(*inputs)

    @staticmethod
    def symbolic(g: Any, op: str, attributes: Attributes, compute: Compute, *inputs: Any) -> Any:
        """Return the node of the graph ``g``, with its shape."""
        typed = {f"{name}_{_letter(value)}": value for name, value in attributes.items()}
        node = g.op(f"{DOMAIN}::{op}", *inputs, **typed)
        shapes = [torch.empty(value.type().sizes(), device="meta") for value in inputs]
        node.setType(inputs[0].type().with_sizes(list(compute(*shapes).shape)))
        return node


def _letter(value: int | float | str | Sequence[int]) -> str:
    """Return what marks the type of an attribute in the name that torch expects."""
    if isinstance(value, str):
        return "s"
    return "f" if isinstance(value, float) else "i"
