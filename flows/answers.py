"""Classes that an accelerator answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..hw.dtypes import IntArray
from ..hw.errors import GraphError
from ..hw.graph import Dataflow
from ..hw.stages import Argmax, Fifo, Width


def classes(dataflow: Dataflow, streams: Mapping[str, IntArray]) -> IntArray:
    """Return the class of each image, shape ``(images,)``, from the integers that left.

    Either the last stage has chosen it (argmax), or the host scales the integers of the classes
    and takes the largest; of equal ones the first counts, as in the hardware and in torch.

    Args:
        dataflow: The accelerator; it must have one output.
        streams: Integers of its output by stream name.

    Raises:
        GraphError: The accelerator has more than one output.
    """
    if len(dataflow.outputs) != 1:
        raise GraphError(
            f"{dataflow.name}: a classifier has one output, this has {list(dataflow.outputs)}; "
            "synth and report need a classifier"
        )
    (name,) = dataflow.outputs
    values = streams[name].reshape(len(streams[name]), -1)
    producer = dataflow.producer(name)
    while isinstance(producer, Fifo | Width):  # they pass on what they get
        producer = dataflow.producer(producer.inputs[0])
    if isinstance(producer, Argmax):
        return values[:, 0]
    host = dataflow.host.get(name)
    scores = values if host is None else values * np.array(host.scale) + np.array(host.bias)
    chosen: IntArray = scores.argmax(axis=1).astype(np.int64)
    return chosen
