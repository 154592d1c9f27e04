#!/usr/bin/env bash
# Environments for the tools that read our exports, under .venv-consumers/. Prints the variables that the tests look at:
#     eval "$(bash tests/consumers/environments.sh)" && .venv/bin/pytest tests/consumers
# A tool that can't be installed or built is named on stderr, and its tests skip with a sentence.
# They see this repository's .venv behind their own packages, so that torch isn't installed five times.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
main=$("$here/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# environment NAME VARIABLE pip-arguments…
environment() {
    local folder="$here/.venv-consumers/$1" variable=$2 sites
    shift 2
    if [ ! -f "$folder/installed" ]; then
        "$here/.venv/bin/python" -m venv "$folder" >&2 || return
        sites=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        echo "$main" > "$sites/zz-main.pth"
        if ! "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" >&2; then
            echo "not checked: $* can't be installed or built here" >&2
            return
        fi
        touch "$folder/installed"
    fi
    echo "export $variable='$folder/bin/python'"
}

environment lm-eval TRIMTAB_LM_EVAL_PYTHON lm_eval==0.4.13
environment repeng TRIMTAB_REPENG_PYTHON --no-deps repeng==0.4.0
environment peft TRIMTAB_PEFT_PYTHON --no-deps peft==0.21.2
CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-2} \
    environment llama-cpp TRIMTAB_LLAMA_CPP_PYTHON llama-cpp-python==0.3.36
