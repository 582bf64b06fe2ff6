#!/bin/bash
# Runs a command with Vivado and Vitis HLS on PATH if FINN_XILINX_PATH and FINN_XILINX_VERSION name
# them, as for FINN's own image: /tools/Xilinx and 2022.2 for /tools/Xilinx/Vivado/2022.2.
set -e
if [ -n "$FINN_XILINX_PATH" ]; then
  vivado=$FINN_XILINX_PATH/Vivado/$FINN_XILINX_VERSION/settings64.sh
  if [ ! -f "$vivado" ]; then
    echo "popshift: $vivado is not there; is FINN_XILINX_PATH mounted, FINN_XILINX_VERSION right?" >&2
    exit 2
  fi
  # shellcheck source=/dev/null
  . "$vivado"
  hls=$FINN_XILINX_PATH/Vitis_HLS/$FINN_XILINX_VERSION/settings64.sh
  # shellcheck source=/dev/null
  if [ -f "$hls" ]; then . "$hls"; fi
fi
exec "$@"
