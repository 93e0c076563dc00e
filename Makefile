# Every task of the project. `make help` lists them; `make test` and `make demo` need nothing made before.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.complete

# Tools that are fetched belong to this checkout, wherever a task changes its folder to.
export MNEMOSCOPE_TOOLS_DIR ?= $(CURDIR)/.tools

.DEFAULT_GOAL := help
.PHONY: help test test-fast test-pythons stress demo demo-up generate check dashboards lint format types wheel tools environment constraints bench clean
.DELETE_ON_ERROR:

# More processes than four compete for ports and for the clock.
IN_PARALLEL := --numprocesses auto --maxprocesses 4 --dist worksteal

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: $(ENVIRONMENT) tools ## environment, tools and the whole test suite, from nothing (ARGS goes to pytest)
	@$(BIN)/python -m pytest $(IN_PARALLEL) $(ARGS)

test-fast: $(ENVIRONMENT) ## the tests that take less than a minute together, for the edit loop
	@$(BIN)/python -m pytest $(IN_PARALLEL) -m 'not slow and not prometheus' $(ARGS)

test-pythons: $(ENVIRONMENT) ## the service's side of the suite on every other Python from 3.11 on that is here
	@$(BIN)/python tests/other_pythons.py $(ARGS)

stress: $(ENVIRONMENT) ## a minute of threads, signals, finalisers and forks that record at once
	@$(BIN)/python -W ignore::DeprecationWarning tests/instrumentation/stress.py $(or $(SECONDS),60)

demo: $(ENVIRONMENT) ## the whole chain on a real service, proved within three minutes
	@$(BIN)/mnemoscope demo

demo-up: $(ENVIRONMENT) ## the same, and keep everything running, with Grafana and Alertmanager where Docker runs
	@$(BIN)/mnemoscope demo --keep

generate: $(ENVIRONMENT) ## write generated/ from the catalog, the objectives and mnemoscope.yaml
	@$(BIN)/mnemoscope generate

check: $(ENVIRONMENT) ## fail on a stale file, a broken rule, a missing page, an unknown metric
	@$(BIN)/mnemoscope check

dashboards: $(ENVIRONMENT) ## publish the boards to GRAFANA_URL with GRAFANA_TOKEN
	@$(BIN)/mnemoscope publish

# A list of words, each with a replacement. It contains phrases, so codespell needs a regular expression to find them.
PROSE := .prose-words.txt

lint: $(ENVIRONMENT) ## ruff's checks and format, and the words that the prose avoids
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@git ls-files -z '*.py' '*.md' ':!CHANGELOG.md' ':!generated' | xargs -0 $(BIN)/codespell --dictionary $(PROSE) \
		--regex "(?i)\b($$(sed 's/->.*//' $(PROSE) | paste -sd '|'))\b"

format: $(ENVIRONMENT) ## apply ruff's fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# The folders alerts/, dashboards/ and so on are mapped under `mnemoscope.` when the project is installed, and the
# checkers read files, not import hooks. So they check an installed copy: mypy from within the copy's folder, and both
# as users have it, in an environment of its own, for what a package re-exports is private to users unless it says so.
INSTALLED := build/installed
CHECKED := "$(CURDIR)/$(BIN)/python" -m mypy --config-file "$(CURDIR)/pyproject.toml" --cache-dir "$(CURDIR)/.mypy_cache"

types: $(ENVIRONMENT) ## mypy in strict mode over the package as it is installed; mypy and pyright over its public use
	@rm -rf build
	@$(BIN)/python -m venv --without-pip $(INSTALLED)
	@$(BIN)/python -m pip --quiet --python $(INSTALLED)/bin/python install --no-deps .
	@cd $(INSTALLED)/lib/python*/site-packages && $(CHECKED) -p mnemoscope
	@cd $(INSTALLED)/lib/python*/site-packages && ls -d "$(CURDIR)/$(VENV)"/lib/python*/site-packages > frameworks.pth
	@mkdir build/uses
	@cp tests/typing/api.py build/uses/
	@$(BIN)/python tests/typing/constants.py > build/uses/constants.py
	@echo '{"reportUnnecessaryTypeIgnoreComment": "error"}' > build/uses/pyrightconfig.json
	@cd build/uses && $(CHECKED) --python-executable ../installed/bin/python api.py constants.py
	@cd build/uses && "$(CURDIR)/$(BIN)/pyright" --warnings --pythonpath ../installed/bin/python
	@rm -rf build

wheel: $(ENVIRONMENT) ## the source archive, and the wheel built from it, in dist/
	@rm -rf build dist
	@$(BIN)/python -m build --quiet --outdir dist .

tools: $(ENVIRONMENT) ## find or unpack Prometheus and promtool, and say where they are
	@$(BIN)/mnemoscope tools

environment: $(ENVIRONMENT) ## the virtual environment .venv, with all that the project needs

$(ENVIRONMENT): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or later is needed, and "$(PYTHON)" is not that; try: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; \
		exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '"$(PYTHON)" cannot make environments; install its venv package (Debian: python3-venv)' >&2; exit 2; }
	@echo "making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,schema]'
	@touch $@

constraints: ## take the newest versions that work together, and pin them in constraints.txt
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,schema]'
	@{ echo '# The versions that the project is developed and tested with; `make constraints` writes this file anew.'; \
		$(BIN)/python -m pip freeze --exclude-editable --exclude setuptools; } > constraints.txt
	@touch $(ENVIRONMENT)

# Environments of their own: the libraries measured beside ours are no dependencies, and autometrics pins old ones.
BENCH := .venv-bench

bench: $(BENCH)/.complete $(BENCH)-installed/.complete $(BENCH)-autometrics/.complete ## costs side by side with other libraries (ROUNDS=3 quick, ROWS=call,scrape some)
	@$(BENCH)-installed/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	@rm -rf build
	@$(BENCH)/bin/python -m benchmarks \
		--installed-python $(BENCH)-installed/bin/python --autometrics-python $(BENCH)-autometrics/bin/python \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ROWS),--rows $(ROWS))

$(BENCH)/.complete: constraints.txt benchmarks/constraints-peers.txt
	@echo "making the environment $(BENCH)"
	@$(PYTHON) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--constraint benchmarks/constraints-peers.txt \
		--editable '.[prometheus]' opentelemetry-sdk prometheus-async aioprometheus uvicorn \
		locklib threadle oslo.concurrency
	@touch $@

# As users have it, to time imports: what makes an editable install work loads half of ours before they begin.
$(BENCH)-installed/.complete: constraints.txt benchmarks/constraints-peers.txt
	@echo "making the environment $(BENCH)-installed"
	@$(PYTHON) -m venv --clear $(BENCH)-installed
	@$(BENCH)-installed/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--constraint benchmarks/constraints-peers.txt prometheus-client opentelemetry-sdk
	@touch $@

$(BENCH)-autometrics/.complete: benchmarks/constraints-autometrics.txt
	@echo "making the environment $(BENCH)-autometrics"
	@$(PYTHON) -m venv --clear $(BENCH)-autometrics
	@$(BENCH)-autometrics/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint benchmarks/constraints-autometrics.txt autometrics
	@touch $@

clean: ## remove what the other tasks made
	rm -rf $(VENV) .venv-* .tools .demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
