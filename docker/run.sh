#!/bin/sh
# Runs popshift on this folder: docker/run.sh build digits-mlp
#   IMAGE=popshift-finn docker/run.sh ...   the image with FINN; VIVADO_PATH is mounted if it is set
set -eu
engine=$(command -v docker || command -v podman) || { echo "docker/run.sh: needs docker or podman" >&2; exit 2; }
set -- "${IMAGE:-popshift}" "$@"
if [ -n "${VIVADO_PATH:-}" ]; then
  set -- --volume "$VIVADO_PATH:$VIVADO_PATH:ro" --env "XILINX_VIVADO=$VIVADO_PATH" "$@"
fi
if [ -t 1 ]; then set -- --tty --interactive "$@"; fi
exec "$engine" run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" "$@"
