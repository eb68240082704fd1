# make          set up, run the experiment, print the headline table
# make test     set up, run the tests
# make cluster  set up, run experiments on a Slurm that is started for it (as root, with Debian's slurm-wlm, munge and openssh-server), and
#               the jobs of a Kubernetes without one
# make study    set up, run the experiment for eight generator seeds with five training seeds each (hours), and merge what they say
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONPATH
unexport PYTHONDONTWRITEBYTECODE  # some containers set it: hundreds of short jobs would compile torch, each anew
READY := .venv/ready
# the lock is complete, so nothing is left to resolve: --no-deps. Most modules are never imported, so none is compiled here: --no-compile
INSTALL := .venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes

.DELETE_ON_ERROR:
.PHONY: run setup test cluster study lint lock clean

run: $(READY)
	@penumbra repro
	@penumbra headline

setup: $(READY)

# torch: the CPU build where the package index offers one, else the default build with its CUDA libraries (TORCH=cuda insists)
$(READY): requirements.lock requirements-torch.lock requirements-torch-cpu.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "penumbra needs Python 3.11 or newer; set PYTHON=")'
	@echo "setting up .venv (a minute or two)"
	@$(PYTHON) -m venv .venv
	@test "$(TORCH)" != cuda && $(INSTALL) -r requirements-torch-cpu.lock 2>/dev/null || $(INSTALL) -r requirements-torch.lock
	@$(INSTALL) -r requirements.lock
	@.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

test: $(READY)
	@pytest -n 2 --dist worksteal

cluster: $(READY)
	-@$(INSTALL) -r requirements-slurm.lock
	-@$(INSTALL) -r requirements-kubernetes.lock
	@pytest tests/cluster -rs

study: $(READY)
	@penumbra study

lint: $(READY)
	ruff check . && ruff format --check . && snakefmt --check Snakefile rules && lint-imports

lock: $(READY)
	python tools/lock.py

clean:
	rm -rf .venv .penumbra .snakemake logs
