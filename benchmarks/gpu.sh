#!/usr/bin/env bash
# Measure ser on a machine with a GPU and no network, in at most eight minutes; prints a Markdown table with the device's name.
#
#   benchmarks/gpu.sh pack    where there is a network and RAVDESS (SER_CORPORA): put what the machine needs into .gpu/
#   benchmarks/gpu.sh         on the machine, from a checkout with .gpu/ in it
#   benchmarks/gpu.sh memory  the same, but only the sections named (data_path, memory, one_fold, training_steps)
#   TINY=1 benchmarks/gpu.sh  a dry run in about two minutes, on any machine, with the demo corpus
#
# The machine needs Python 3.12 with torch, torchaudio, lightning, torchmetrics, transformers, pandas, pyarrow, scikit-learn and
# matplotlib. .gpu/ holds wheels of the small packages that it may lack, and RAVDESS as it is prepared: 16 kHz, trimmed, FLAC.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
packages='antlr4-python3-runtime|cffi|filelock|hydra-core|iniconfig|jinja2|markdown-it-py|markupsafe|mdurl|omegaconf|packaging'
packages+='|platformdirs|pluggy|pooch|pycparser|pygments|pytest|pyyaml|requests|rich|seaborn|soundfile|soxr'

pack() {
    mkdir -p .gpu/wheels
    rm -f .gpu/wheels/*
    grep -E "^($packages)==" requirements.txt | cut -d ' ' -f 1 >.gpu/requirements.txt
    # Hydra's parser runtime is published as source only: its wheel is made here.
    grep antlr4 .gpu/requirements.txt | xargs "$python" -m pip wheel --quiet --no-deps --wheel-dir .gpu/wheels
    grep -v antlr4 .gpu/requirements.txt | xargs "$python" -m pip download --quiet --no-deps --only-binary=:all: \
        --implementation cp --python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest .gpu/wheels
    "${VENV_PYTHON:-.venv/bin/python}" benchmarks/pack_corpus.py ravdess .gpu/corpora
    local size
    size=$(du --summarize --bytes .gpu | cut -f 1)
    echo ".gpu holds $((size / 1000000)) MB"
    [ "$size" -le 60000000 ] || { echo "That is more than the 60 MB that may travel." >&2; exit 1; }
}

measure() {
    local work missing
    work=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder's name is wanted as it is now
    trap "rm -rf '$work'" EXIT
    missing=$("$python" - .gpu/wheels/*.whl <<'PYTHON'
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for wheel in map(Path, sys.argv[1:]):
    try:
        version(wheel.name.split("-")[0])
    except PackageNotFoundError:
        print(wheel)
PYTHON
    )
    if [ -n "$missing" ] && [ -e "${missing%%$'\n'*}" ]; then
        # shellcheck disable=SC2086  # one wheel a word
        "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$work/site" $missing
    fi
    export PYTHONPATH="$PWD:$work/site" SER_HOME="$work/home" SER_CORPORA="$PWD/.gpu/corpora" WANDB_MODE=disabled
    local seconds=(100 360)
    [ "${TINY:-}" = 1 ] && seconds=(600 1800)  # a busy CPU may take longer
    timeout "${seconds[0]}" "$python" -m pytest -q -p no:cacheprovider tests/test_cuda.py || echo "The CUDA tests FAILED."
    timeout "${seconds[1]}" "$python" benchmarks/gpu.py "$@"
}

if [ "${1:-}" = pack ]; then pack; else measure "$@"; fi
