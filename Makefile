# Two commands: `make demo` plays the protocol, `make test` runs every check. Both make what they need in .venv/.
PYTHON ?= python3
BIN := .venv/bin
ASYNCAPI_SPECS := 6.11.1
AMQPLIB := 2.3.1
HAR_SCHEMA := 2.0.0
AXE_CORE := 4.14.1
# A worker that dies ends the run: one put in its place may wait for ever.
PYTEST := pytest -q --dist loadfile --max-worker-restart 0
# The tests start hundreds of processes, which would all compile what they import.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs test check tests mutants wheel benchmarks clean

demo: .venv/.installed
	@mkdir -p demo
	$(BIN)/phrasim run scenarios/push.yaml --trace demo/push.jsonl
	@echo
	$(BIN)/phrasim run scenarios/pull.yaml --trace demo/pull.jsonl
	@echo
	$(BIN)/phrasim diagram demo/push.jsonl
	@echo
	$(BIN)/phrasim diagram demo/pull.jsonl
	@echo
	$(BIN)/phrasim conform docs/request-flow.md demo/push.jsonl
	@echo
	$(BIN)/phrasim conform docs/request-flow.md demo/pull.jsonl
	@echo
	$(BIN)/phrasim run push pull --profile deployed --trace demo/deployed
	$(BIN)/phrasim conform docs/deployed-flow.md demo/deployed/deployed-push.jsonl
	@echo
	$(BIN)/phrasim conform docs/deployed-flow.md demo/deployed/deployed-pull.jsonl

# The documentation as a site, to be opened from its folder.
docs: .venv/.installed-dev
	$(BIN)/phrasim docs --out site

test: check tests wheel

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# In the second pass are those that take long and cover nothing that the others do not: they run without the tracing by
# which the first one, in CI, measures which branches are covered.
tests: .venv/.installed-dev build/.node
ifdef CI
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST) -n 4 -m "not unmeasured"
	$(BIN)/coverage combine -q
	$(BIN)/coverage report
else
	$(BIN)/python -m $(PYTEST) -n 4 -m "not unmeasured"
endif
	$(BIN)/python -m $(PYTEST) -n 4 -m unmeasured

# What is installed is what users get: the wheel, from an empty folder.
wheel: .venv/.installed-dev
	PYTHON=$(BIN)/python sh tests/wheel.sh

# How many mutants of the simulated services are found out, by family: minutes.
mutants: .venv/.installed-dev
	$(BIN)/python contracts/mutation/run.py

benchmarks: .venv/.installed
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv build demo dist site

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "phrasim needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[load,verify]'
	@touch $@

.venv/.installed-dev: .venv/bin/python pyproject.toml constraints.txt
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/.installed

# Packages of Node for tests: the schemas of AsyncAPI documents and of HAR files, an AMQP client, and what finds on a page
# what keeps people from using it. Without npm the tests that need them are skipped (in CI they fail).
build/.node: Makefile
	@mkdir -p build
	@if command -v npm >/dev/null; then \
	    npm install --silent --prefix build --no-save --no-package-lock --no-audit --no-fund \
	        @asyncapi/specs@$(ASYNCAPI_SPECS) amqplib@$(AMQPLIB) har-schema@$(HAR_SCHEMA) axe-core@$(AXE_CORE) && touch $@ \
	    || echo "npm cannot bring @asyncapi/specs, amqplib, har-schema and axe-core: the tests that need them are skipped"; \
	else echo "npm is not there: the tests that need @asyncapi/specs, amqplib, har-schema and axe-core are skipped"; fi
