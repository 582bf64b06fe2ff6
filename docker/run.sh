#!/bin/sh
# Runs popshift on this folder: docker/run.sh build digits-mlp
#   IMAGE=popshift-finn docker/run.sh ...   the image with FINN; FINN_XILINX_PATH (/tools/Xilinx) is
#                                           mounted if it is set, FINN_XILINX_VERSION chosen in it
set -eu
engine=$(command -v docker || command -v podman) || { echo "docker/run.sh: needs docker or podman" >&2; exit 2; }
set -- "${IMAGE:-popshift}" "$@"
if [ -n "${FINN_XILINX_PATH:-}" ]; then
  set -- --volume "$FINN_XILINX_PATH:$FINN_XILINX_PATH:ro" --env FINN_XILINX_PATH \
    --env FINN_XILINX_VERSION "$@"
fi
if [ -t 1 ]; then set -- --tty --interactive "$@"; fi
exec "$engine" run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" "$@"
