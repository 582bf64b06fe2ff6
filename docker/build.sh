#!/bin/sh
# Builds the image of the open flow: docker/build.sh [options of docker build]
#   docker/build.sh --build-arg PIP_EXTRA_INDEX_URL=...   a smaller image, by the CPU build of torch
#   FILE=Dockerfile.finn docker/build.sh                  the image with FINN, on top of it
set -eu
folder=$(dirname "$0")
engine=$(command -v docker || command -v podman) || { echo "docker/build.sh: needs docker or podman" >&2; exit 2; }
file=${FILE:-Dockerfile}
case $file in *.finn) name=popshift-finn ;; *) name=popshift ;; esac
DOCKER_BUILDKIT=1 exec "$engine" build --file "$folder/$file" --tag "$name" "$@" "$folder/.."
