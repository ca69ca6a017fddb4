#!/usr/bin/env bash
# Makes the Python environment in the cache, keyed by what it is made from, and links .venv to it: a second checkout has it
# at once, and an interrupted install is started over.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Python 3.11 or newer is needed; '$python' is not. Run: make up PYTHON=/path/to/python3.11" >&2
  exit 1
fi

key=$({ cat requirements.txt; "$python" -c 'import os, sys; print(sys.version, os.path.realpath(sys.executable))'; } | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tfserving-mesh
venv=$cache/venv-$key

if [ -e .venv ] && [ ! -L .venv ]; then
  echo ".venv is a folder that something else made. Run: rm -r .venv" >&2
  exit 1
fi

mkdir -p "$cache"
# A second checkout waits for the first one's install.
if command -v flock >/dev/null; then
  exec 9>"$venv.lock"
  flock 9
fi
if [ ! -e "$venv/complete" ]; then
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" != 0 ]; then
      echo "Python's venv module is missing. Run: sudo apt-get install -y python3-venv" >&2
      exit 1
    fi
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
  fi
  echo "Installing the Python packages of requirements.txt (once; about a minute)"
  "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.txt ||
    { echo "The packages could not be installed. Is the Python package index reachable?" >&2; exit 1; }
  touch "$venv/complete"
fi
ln -sfn "$venv" .venv
