# Two commands matter: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
# Each starts the servers that its tests need: more than two gain little, and take a Milvus server's memory each.
PROCESSES ?= 2
comma := ,
BIN := $(VENV)/bin
TSC := tests/web/node_modules/.bin/tsc
COMMAND := $(BIN)/image-search $(if $(DATA_DIR),--data-dir "$(DATA_DIR)")

.PHONY: setup run test resolve check servers bench screenshots clean
.DEFAULT_GOAL := run

setup: $(VENV)/.product  ## .venv with the command in it

$(VENV)/.product: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed (PYTHON=python3.11 make ...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.product requirements-dev.txt requirements-quantise.txt requirements-training.txt requirements-parquet.txt requirements-notebook.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev$(if $(TRAINING),$(comma)training)]'
	@touch $@

run: setup  ## page and API on http://HOST:PORT; IMAGES=folder ingests it first, else sample pictures
	@$(COMMAND) serve $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)") $(if $(IMAGES),--images "$(IMAGES)",--samples)

check: $(VENV)/.dev  ## lint, types, the page's modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v node >/dev/null; then node --test --test-reporter=spec tests/web/*.test.mjs; \
	else echo "node is missing: the page's modules are not tested (apt-get install nodejs)"; fi
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(TSC) && $(TSC) -p tests/web/tsconfig.json; \
	else echo "npm is missing: the page's types are not checked (apt-get install npm)"; fi

$(TSC): tests/web/package-lock.json
	npm --prefix tests/web ci --no-audit --no-fund
	@touch $@

test: check $(if $(CI),resolve)  ## everything: checks, then all tests with branch coverage; TRAINING=1: those of training/ too
	$(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile --cov --cov-report=term:skip-covered

resolve: setup  ## whether the pinned requirements have wheels for the other Pythons; downloads, installs nothing
	for version in 3.12 3.13; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed \
	    --target build/resolve --python-version $$version --only-binary=:all: -r requirements.txt || exit 1; done

servers:  ## a Milvus server, a newer one in Python and an S3 server into .servers/, and tools that check deploy/, for the tests
	$(PYTHON) deploy/get-servers
	$(PYTHON) deploy/get-tools

bench: $(VENV)/.dev  ## measurements; tables on the screen, JSON in benchmarks/results
	$(BIN)/python -m benchmarks

screenshots: $(VENV)/.dev  ## the README's pictures of the page, into docs/screenshots; wants chromium and fonts-noto-cjk
	$(BIN)/python -m tests.browser.screenshots

clean:
	rm -rf $(VENV) .servers build dist *.egg-info tests/web/node_modules
