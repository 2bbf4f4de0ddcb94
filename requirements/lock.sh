#!/bin/sh
# Writes the locks from pyproject.toml, each agreeing with the one before it; options go to uv (--upgrade for the newest).
set -eu

cd "$(dirname "$0")/.."
python=.venv/bin/python
. requirements/registry.sh

locked() {
    target=$1
    shift
    "$python" -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command 'make lock' "$@" -o "requirements/$target.lock"
}

locked run pyproject.toml "$@"
locked dev pyproject.toml --group dev -c requirements/run.lock "$@"
locked image pyproject.toml --extra chat --extra otel -c requirements/dev.lock "$@"
locked bench pyproject.toml --group dev --group bench -c requirements/dev.lock "$@"
locked build --group build -c requirements/bench.lock "$@"
