"""Lowering of ``matvec``, and of every layer as a product."""

from __future__ import annotations

from collections.abc import Sequence

from ...stages import MatVec
from ..builder import Builder
from ..ending import layout_for
from ..layout import Form, Layout, View
from .lowering import Lowering
from .multiply import is_multiplied, multiply
from .popcount import count, count_signs, is_ternary
from .product import Product, is_known


class LowerMatVec(Lowering[MatVec]):
    """Population counts of bits or products of integers."""

    def supports(self, stage: MatVec) -> bool:
        """Only layers that multiply."""
        return is_known(stage)

    def takes(self, stage: MatVec, outputs: Sequence[Layout]) -> Sequence[Layout]:
        """Planes or integers, whichever is faster, from several places."""
        return (taken(Product.of(stage)),)

    def lower(
        self,
        stage: MatVec,
        sources: Sequence[View],
        outputs: Sequence[Layout],
        builder: Builder,
    ) -> Sequence[View]:
        """Emit the product."""
        return (lower_product(Product.of(stage), sources[0], outputs[0], builder),)


def taken(product: Product) -> Layout:
    """Return the layout in which a product takes its vectors."""
    return Layout(Form.INTS if is_multiplied(product) else Form.PLANES, gathers=True)


def lower_product(product: Product, source: View, wanted: Layout, builder: Builder) -> View:
    """Emit a product and return where its results are.

    Args:
        product: The product.
        source: Its vectors, as :func:`taken`.
        wanted: Layout that the consumer wants.
        builder: Kernel to add to.
    """
    layer, thresholds = product.layer, product.layer.thresholds
    limits = thresholds.results if thresholds else None
    layout = layout_for(thresholds, wanted)
    target = builder.slot(layer.output_types[0], layout, limits).view
    builder.emit(f"# {layer.name}: {layer.kernel} {product.elements} -> {product.neurons}")
    if source.slot.layout.form is Form.INTS:
        multiply(product, source, target, builder)
    elif is_ternary(product, source):
        count_signs(product, source, target, builder)
    else:
        count(product, source, target, builder)
    return target
