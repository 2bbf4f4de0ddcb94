#!/bin/sh
# Brings .venv beside this folder to a lock: install.sh run | dev | bench   (each holds the one before it).
# Needs a POSIX shell and a Python >= 3.11, nothing else. Called by the Makefile, which knows when it is due.
set -eu

wanted=${1:?"usage: install.sh run|dev|bench"}
cd "$(dirname "$0")/.."
venv=.venv
python=$venv/bin/python

say() { printf '%s\n' "$*" >&2; }

# A candidate is run, not only looked up: version managers leave shims for versions that are switched off.
answers() { "$1" -c "$2" >/dev/null 2>&1 </dev/null; }

find_python() {
    without_venv=
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        answers "$candidate" 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
        if answers "$candidate" 'import ensurepip, venv'; then
            command -v "$candidate"
            return
        fi
        without_venv=$candidate
    done
    if [ -n "$without_venv" ]; then
        name=$("$without_venv" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        say "$without_venv cannot make virtual environments: its ensurepip is missing." \
            "On Debian and Ubuntu: apt install $name-venv"
    else
        say "No Python >= 3.11 found (tried: ${PYTHON:-python3.13 python3.12 python3.11 python3})." \
            "Install one, or name it: make PYTHON=/path/to/python3.11"
    fi
    return 1
}

# Never shrinks an environment: `make run` after `make test` keeps the test tools.
for larger in dev bench; do
    if [ -e "$venv/.$larger" ] && [ "$wanted" != bench ]; then wanted=$larger; fi
done

if ! answers "$python" 'import sys'; then
    interpreter=$(find_python)
    say "Preparing $venv with $("$interpreter" --version) (once) ..."
    "$interpreter" -m venv --clear "$venv"
fi
if ! answers "$python" 'import pip'; then
    "$python" -m ensurepip >/dev/null
fi

pip() { "$python" -m pip --disable-pip-version-check --quiet --no-input "$@"; }

. requirements/registry.sh

# Afterwards pip may be gone: uv keeps it only in environments that it did not make itself.
install_with_uv() {
    pip install --require-hashes -r requirements/build.lock &&
        uv sync --require-hashes "requirements/$wanted.lock" requirements/build.lock &&
        uv install --no-build-isolation --no-deps --editable .
}

uv() {
    verb=$1
    shift
    "$python" -m uv pip "$verb" --quiet --python "$python" "$@"
}

# pip is slower and knows more of this machine (proxies, further indexes, keyrings): what uv cannot reach, pip may.
install_with_pip() {
    pip install --require-hashes --no-deps -r "requirements/$wanted.lock" -r requirements/build.lock
    pip install --no-build-isolation --no-deps --editable .
}

install_with_uv || {
    say "uv could not install the lock; trying pip, which takes a little longer."
    install_with_pip
}

for level in run dev bench; do
    : >"$venv/.$level"
    if [ "$level" = "$wanted" ]; then break; fi
done
