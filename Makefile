# `make help` lists the targets. Each makes the environment in .venv first, if it is not there or is out of date.
PYTHON ?= python3
PROFILE ?= quick
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Threads of torch sleep after a short wait, unless the user decided how they wait: see cudfkd/base/waiting.py.
ifeq ($(OMP_WAIT_POLICY)$(GOMP_SPINCOUNT)$(KMP_BLOCKTIME),)
export OMP_WAIT_POLICY := passive
export GOMP_SPINCOUNT := 1000
endif

.DEFAULT_GOAL := help
.PHONY: help figures test lab lint record pages site browser package bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */  make \1\t/' | expand -t 18

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Installing into $(VENV): once, about 6 GB with PyTorch's CUDA build ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[notebooks,test,grid,site]'
	@touch $@

figures: $(READY)  ## run every notebook (PROFILE=quick) and leave figures and HTML pages in out/quick
	@$(BIN)/python -m analysis reproduce --profile $(PROFILE)

test: $(READY)  ## check style and run the tests (types: make lint)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lab: $(READY)  ## open JupyterLab on a copy of the notebooks in lab/, which is yours to change
	@test -d lab || $(BIN)/cudfkd notebooks lab
	@$(BIN)/python -m jupyterlab lab

lint: $(READY)  ## mend what can be mended in code and notebooks, then check style and types
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(BIN)/python -m analysis tidy
	@$(BIN)/pyright

record: $(READY)  ## copy the figures of PROFILE that figures/README.md names to figures/, and write the pages that use them
	@$(BIN)/python -m analysis record --profile $(PROFILE)
	@$(BIN)/python -m docs.builder

pages: $(READY)  ## write the tables of docs/ that are made from records and recorded results, to be committed
	@$(BIN)/python -m docs.builder

site: $(READY)  ## build the site, with the notebooks of PROFILE as they were run last: out/site/index.html
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -c docs -D profile=$(PROFILE) -d out/site.cache . out/site

browser: $(READY)  ## try the site and JupyterLab in Chromium, if there is one: some minutes
	@$(BIN)/python -m pytest -m slow tests/test_site.py tests/test_lab.py

package: $(READY)  ## build a wheel and an sdist, try them in a new environment, and leave them in dist/
	@$(BIN)/python -m pytest -m slow tests/test_package.py
	@$(BIN)/python -m hatchling build

bench: $(READY)  ## time the engine against a plain loop, three quarters of an hour with nothing beside it: benchmarks/results/throughput.*
	@$(BIN)/python benchmarks/throughput.py
	@$(BIN)/python benchmarks/throughput.py --compile default --parts memory speed

clean:  ## remove everything that runs have written (not the environment)
	rm -rf out runs build dist *.egg-info .snakemake .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
