"""Why some operators have no integer form, and what to use instead."""

from __future__ import annotations

from types import MappingProxyType

from .nodes import Node

_UNKNOWN_CURE = "remove it, or end the model before it"

# Operator: reason, cure.
_REASONS = MappingProxyType(
    {
        "Sign": (
            "Sign yields 0 at 0, which is no bit",
            "export a BipolarQuant (x >= 0 -> +1), e.g. by BinaryAct",
        ),
        "Softmax": (
            "its normalisation depends on all channels",
            "end the model before it; the argmax of the logits is the same",
        ),
        "LogSoftmax": (
            "its normalisation depends on all channels",
            "end the model before it; the argmax of the logits is the same",
        ),
        "LayerNormalization": (
            "its scale depends on the data",
            "use BatchNormalization, whose scale is constant",
        ),
        "InstanceNormalization": (
            "its scale depends on the data",
            "use BatchNormalization, whose scale is constant",
        ),
        "ConvTranspose": ("it inserts pixels, which is not supported yet", "use Conv"),
        "Resize": ("it inserts pixels, which is not supported yet", "use Conv"),
        "Upsample": ("it inserts pixels, which is not supported yet", "use Conv"),
        "LpPool": ("it sums powers of floats", "use MaxPool or AveragePool"),
        "Im2Col": (
            "its windows are taken by no sum of distances",
            "use Conv, or L1Conv of docs/ops.md",
        ),
        "ReduceSum": (
            "it sums no distances |x - w| to constant weights",
            "use a MatMul with ones, or a pool; of distances, keepdims = 0",
        ),
        "If": ("the graph branches on data", "export with fixed control flow"),
        "Loop": ("the graph loops on data", "export with fixed control flow"),
    }
)


def refuse_operator(node: Node) -> Exception:
    """Return the error for an operator without a handler."""
    reason, cure = _REASONS.get(
        node.op, ("no exact integer form is known for this operator", _UNKNOWN_CURE)
    )
    return node.refuse(reason, cure)
