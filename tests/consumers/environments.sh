#!/usr/bin/env bash
# Environments for the tools that read our exports, under .venv-consumers/. Prints the variables that the tests look at:
#     eval "$(bash tests/consumers/environments.sh)" && .venv/bin/pytest tests/consumers
# makes all of them; names behind it, such as llama-cpp, only those. A tool that can't be installed or built is named on
# stderr, and its tests skip with a sentence.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
folder=.venv-consumers
. "$here/tests/consumers/environment.sh"

for tool in ${@:-lm-eval repeng peft llama-cpp}; do
    case $tool in
        lm-eval) environment lm-eval TRIMTAB_LM_EVAL_PYTHON lm_eval==0.4.13 ;;
        repeng) environment repeng TRIMTAB_REPENG_PYTHON --no-deps repeng==0.4.0 ;;
        peft) environment peft TRIMTAB_PEFT_PYTHON --no-deps peft==0.21.2 ;;
        llama-cpp)
            CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-2} \
                environment llama-cpp TRIMTAB_LLAMA_CPP_PYTHON llama-cpp-python==0.3.36
            ;;
        *) echo "no such tool: $tool" >&2; exit 2 ;;
    esac
done
