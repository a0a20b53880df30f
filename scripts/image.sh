#!/bin/sh
# Build the container image with the first of docker, podman and buildah that works here: the wheel first, outside, so
# that the image needs neither build tools nor Node. IMAGE names it; arguments are passed on
# (--build-arg BASE=... for another base, --build-arg PIP_ARGS=... for another index).
set -eu
cd "$(dirname "$0")/.."
IMAGE="${IMAGE:-tidemill:latest}"
rm -rf build/image
.venv/bin/python -m hatchling build --target wheel --directory build/image
version=$(.venv/bin/python -c "import tidemill; print(tidemill.__version__)")
revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
set -- --tag "$IMAGE" --build-arg VERSION="$version" --build-arg REVISION="$revision" --file Dockerfile "$@" .
if docker info >/dev/null 2>&1; then
    docker build "$@"
elif podman info >/dev/null 2>&1; then
    podman build --format docker "$@"
elif command -v buildah >/dev/null; then
    buildah build --format docker "$@" # the other format has no health check
else
    echo "No docker, podman or buildah works here; the wheel is in build/image." >&2
    exit 1
fi
echo "$IMAGE is built. docs/how-to/deploy.md says how to run it."
