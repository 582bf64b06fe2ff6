"""The definitions that exported files may carry."""

from __future__ import annotations

from .l1 import L1_CONV, L1_MATMUL
from .quantizers import BIPOLAR_QUANT, MULTI_THRESHOLD, QUANT

DEFINITIONS = (QUANT, BIPOLAR_QUANT, MULTI_THRESHOLD, L1_MATMUL, L1_CONV)
