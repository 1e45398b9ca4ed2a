# Two commands: `make demo` plays the protocol, `make test` runs every check. Both make what they need in .venv/.
PYTHON ?= python3
BIN := .venv/bin
ASYNCAPI_SPECS := 6.11.1
AMQPLIB := 2.3.1

.PHONY: demo test check tests wheel benchmarks clean

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

test: check tests wheel

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

tests: .venv/.installed-dev build/.node
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n 3 --dist loadfile -m "not unmeasured"
	$(BIN)/python -m pytest -q -n 3 --dist loadfile -m unmeasured
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

# What is installed is what users get: the wheel, from an empty folder.
wheel: .venv/.installed-dev
	PYTHON=$(BIN)/python sh tests/wheel.sh

benchmarks: .venv/.installed
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf .venv build demo dist

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "phrasim needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

.venv/.installed-dev: .venv/bin/python pyproject.toml constraints.txt
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/.installed

# Packages of Node for tests: the schema of AsyncAPI documents, and an AMQP client. Without npm the tests that need them
# are skipped (in CI they fail).
build/.node: Makefile
	@mkdir -p build
	@if command -v npm >/dev/null; then \
	    npm install --silent --prefix build --no-save --no-package-lock --no-audit --no-fund \
	        @asyncapi/specs@$(ASYNCAPI_SPECS) amqplib@$(AMQPLIB) && touch $@ \
	    || echo "npm cannot bring @asyncapi/specs and amqplib: the tests that need them are skipped"; \
	else echo "npm is not there: the tests that need @asyncapi/specs and amqplib are skipped"; fi
