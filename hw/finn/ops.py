"""FINN custom ops, one for every kind of stage, made from one class.

An op is a view of a stage: what FINN asks is answered by the stage's ``input_types``,
``output_types``, ``execute``, ``schedule``, ``cost`` and ``module``. A stage that is added to
``STAGES`` has its op without a line here.

Importing this module imports FINN: call ``bootstrap.start``, which does it at the right moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import finn.custom_op.fpgadataflow as finn_ops
import finn.custom_op.fpgadataflow.rtl as finn_rtl_ops
import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto
from qonnx.core.datatype import DataType as QonnxType

from ..graph import Stage, StreamType
from ..passes.fold import cycles_per_image
from ..stages import STAGES
from .attributes import RTL_SUFFIX, attribute_types, from_attributes, op_type, stage_part
from .wrapper import sources, write_module

Array = NDArray[Any]

# Integers of float32, in which FINN keeps tensors.
_EXACT_BITS = 24


@lru_cache(maxsize=256)
def _stage(node: bytes) -> Stage:
    """Return the stage of a node; FINN makes a new op object for every question it asks."""
    return from_attributes(NodeProto.FromString(node))


class StageOp(HWCustomOp):
    """A FINN op that is a stage; subclasses are made by :func:`register`.

    The stream inputs of the node are its only inputs; parameters are attributes, see
    ``attributes``. Tensors have a batch dimension in front, 1 in the graph; ``execute_node`` takes
    any number of images.
    """

    kind: ClassVar[str]

    @property
    def stage(self) -> Stage:
        """The stage that the node stands for."""
        return _stage(stage_part(self.onnx_node).SerializeToString(deterministic=True))

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Return FINN's attributes, those of the kind, and the tensors of this node."""
        types: dict[str, Any] = super().get_nodeattr_types()
        types |= {name: (kind, True, None) for name, kind in attribute_types(self.kind).items()}
        for item in self.onnx_node.attribute:
            if item.type == AttributeProto.TENSOR:
                types[item.name] = ("t", False, None)
        return types

    def _input(self, ind: int) -> StreamType:
        return self.stage.input_types[ind]

    def _output(self, ind: int) -> StreamType:
        return self.stage.output_types[ind]

    def get_input_datatype(self, ind: int = 0) -> Any:
        """Return the datatype of an element of input stream ``ind``."""
        return QonnxType[self._input(ind).dtype.name]

    def get_output_datatype(self, ind: int = 0) -> Any:
        """Return the datatype of an element of output stream ``ind``."""
        return QonnxType[self._output(ind).dtype.name]

    def get_normal_input_shape(self, ind: int = 0) -> Sequence[int]:
        """Return ``(1, *shape)`` of an image of input ``ind``."""
        return (1, *self._input(ind).shape)

    def get_normal_output_shape(self, ind: int = 0) -> Sequence[int]:
        """Return ``(1, *shape)`` of an image of output ``ind``."""
        return (1, *self._output(ind).shape)

    def get_folded_input_shape(self, ind: int = 0) -> Sequence[int]:
        """Return the shape with the last dimension cut into beats: ``(..., folds, lanes)``."""
        return _folded(self._input(ind))

    def get_folded_output_shape(self, ind: int = 0) -> Sequence[int]:
        """Return the shape with the last dimension cut into beats: ``(..., folds, lanes)``."""
        return _folded(self._output(ind))

    def get_instream_width(self, ind: int = 0) -> int:
        """Return the bits of the elements of a beat of input ``ind``."""
        return self._input(ind).width_bits

    def get_outstream_width(self, ind: int = 0) -> int:
        """Return the bits of the elements of a beat of output ``ind``."""
        return self._output(ind).width_bits

    def get_exp_cycles(self) -> int:
        """Return the cycles per image that the schedule states; exact unless something stalls."""
        return cycles_per_image(self.stage)

    def lut_estimation(self, fpgapart: str) -> int:
        """Return the estimated LUTs, of 4 inputs (see ``hw.cost``)."""
        return self.stage.cost().lut

    def bram_estimation(self, fpgapart: str) -> int:
        """Return the estimated block RAMs, of 16 kbit (see ``hw.cost``)."""
        return self.stage.cost().bram

    def node_res_estimation(self, fpgapart: str) -> dict[str, int | float]:
        """Return FINN's estimates and the flip-flops."""
        found: dict[str, int | float] = super().node_res_estimation(fpgapart)
        return found | {"FF": self.stage.cost().ff}

    def infer_node_datatype(self, model: Any) -> None:
        """Annotate the outputs; the inputs must have the datatypes of the stage.

        Raises:
            ValueError: An input has another one.
        """
        for ind, name in enumerate(self.onnx_node.input):
            want, have = self.get_input_datatype(ind), model.get_tensor_datatype(name)
            if have != want:
                raise ValueError(
                    f"{self.onnx_node.name}: input {name} is {have.name} but must be {want.name}"
                )
        for ind, name in enumerate(self.onnx_node.output):
            model.set_tensor_datatype(name, self.get_output_datatype(ind))

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Put the outputs of ``Stage.execute`` into the context, for any number of images."""
        stage = self.stage
        inputs = [
            kind.dtype.check(context[name].reshape(-1, *kind.shape), f"{stage.name}: {name}")
            for name, kind in zip(self.onnx_node.input, stage.input_types, strict=True)
        ]
        outputs = stage.execute(*inputs)
        for name, kind, array in zip(
            self.onnx_node.output, stage.output_types, outputs, strict=True
        ):
            container = np.float32 if kind.dtype.bits <= _EXACT_BITS else np.float64
            context[name] = array.astype(container)

    def verify_node(self) -> list[str]:
        """Check the attributes: a stage that contradicts itself cannot be made."""
        return [f"{self.stage.name}: attributes are consistent"]


class StageOpRtl(RTLBackend):
    """What a specialised op adds: HDL of the stage, from the modules of ``hw/rtl``."""

    stage: Stage
    onnx_node: NodeProto

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """Write the wrapper and the memory images into the folder of the node."""
        folder = self.get_nodeattr("code_gen_dir_ipgen")
        top = self.get_verilog_top_module_name()
        write_module(self.stage, top, Path(folder))
        # The node may be renamed later; the module keeps its name.
        self.set_nodeattr("gen_top_module", top)
        self.set_nodeattr("ipgen_path", folder)
        self.set_nodeattr("ip_path", folder)

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """Return the wrapper and the modules of the stage."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        files = [folder / f"{self.get_nodeattr('gen_top_module')}.v", *sources(self.stage)]
        return [str(file) if abspath else file.name for file in files]

    def code_generation_ipi(self) -> list[str]:
        """Return the Tcl that adds the files and makes a cell of the wrapper."""
        commands = [f"add_files -norecurse {file}" for file in self.get_rtl_file_list(abspath=True)]
        top = self.get_nodeattr("gen_top_module")
        return [
            *commands,
            f"create_bd_cell -type module -reference {top} {self.onnx_node.name}",
        ]

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Execute in Python, or in Vivado's simulator where ``exec_mode`` says so."""
        if self.get_nodeattr("exec_mode") != "rtlsim":
            StageOp.execute_node(self, context, graph)
            return
        for ind, name in enumerate(self.onnx_node.input):
            context[name] = context[name].reshape(self.get_normal_input_shape(ind))
        RTLBackend.execute_node(self, context, graph)


def _folded(kind: StreamType) -> tuple[int, ...]:
    return (1, *kind.shape[:-1], kind.shape[-1] // kind.lanes, kind.lanes)


def register() -> None:
    """Register an op and its RTL variant for every kind of stage; may be called again."""
    for kind in STAGES:
        name = op_type(kind)
        if name in finn_ops.custom_op:
            continue
        attributes = {"kind": kind, "__doc__": f"Stage ``{kind}``.", "__module__": __name__}
        general = type(name, (StageOp,), attributes)
        special = type(f"{name}{RTL_SUFFIX}", (StageOpRtl, general), attributes)
        finn_ops.register_custom_op(general)
        finn_rtl_ops.register_custom_op(special)
