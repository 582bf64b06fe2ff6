#!/bin/sh
# Builds the image of the open flow without a Docker daemon and compares a build inside with one
# outside: the same integers, the same bitstream.
#
# Needs root, debootstrap and buildah. What reaches a registry does so outside of the image, as this
# machine is set up: Debian's packages by debootstrap and apt (DEBIAN_MIRROR names another mirror),
# Python's by pip, into a folder of wheels.
set -eu
cd "$(dirname "$0")/.."
example=${1:-digits-mlp}
work=$PWD/build/docker
base=localhost/popshift-base
image=localhost/popshift

for tool in debootstrap buildah; do
  command -v "$tool" > /dev/null || { echo "docker/test.sh: needs $tool: apt install $tool" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "docker/test.sh: needs root, for chroot" >&2; exit 2; }
mkdir -p "$work"
say() { echo "docker/test.sh: $*"; }

if ! buildah inspect --type image "$base" > /dev/null 2>&1; then
  say "Debian base image"
  rm -rf "$work/base"
  debootstrap --variant=minbase bookworm "$work/base" ${DEBIAN_MIRROR:-} > "$work/debootstrap.log"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/base" / > /dev/null
  buildah commit --quiet --rm "$container" "$base" > /dev/null
  rm -rf "$work/base"
fi

say "wheels of all Python packages"
rm -f "$work"/wheels/popshift-*
.venv/bin/pip wheel --quiet --disable-pip-version-check --wheel-dir "$work/wheels" \
  --find-links "$work/wheels" -c constraints.txt torch==2.13.0 'setuptools>=77.0.3,<81'
.venv/bin/pip wheel --quiet --disable-pip-version-check --wheel-dir "$work/wheels" \
  --find-links "$work/wheels" -c constraints.txt '.[rtl,finn]'
.venv/bin/pip wheel --quiet --disable-pip-version-check --wheel-dir "$work/wheels" \
  --find-links "$work/wheels" -c constraints.txt --no-deps finn-plus mip
rm -f "$work"/wheels/popshift-*

say "image"
buildah build --isolation chroot --network host --layers --quiet --build-arg BASE="$base" \
  --build-context wheels="$work/wheels" --file docker/Dockerfile --tag "$image" .
buildah images --format '{{.Name}} {{.Size}}' "$image"

say "$example inside the image, as user 1000"
rm -rf "$work/out"
mkdir "$work/out"
chown 1000:1000 "$work/out"
container=$(buildah from "$image")
trap 'buildah rm "$container" > /dev/null' EXIT
buildah run --isolation chroot --network host --volume "$work/out:/work" "$container" -- \
  popshift build "$example" --output "/work/$example"

say "$example outside"
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
  .venv/bin/popshift build "$example" --output "build/$example" > /dev/null
say "image with FINN"
buildah build --isolation chroot --network host --layers --quiet --build-arg BASE="$image" \
  --build-context wheels="$work/wheels" --file docker/Dockerfile.finn --tag "$image-finn" .
buildah images --format '{{.Name}} {{.Size}}' "$image-finn"

.venv/bin/python docker/same_build.py "build/$example" "$work/out/$example"
