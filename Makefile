# The front door. `make demo` runs the main job, `make test` passes the tests; both install what they need into .venv.

PROVIDER ?= heygen-realtime
# Tests are spread over so many processes, where nothing else is said. Two cores are enough for them: half of the time they
# wait, for sockets, disks and other programs; one of those of the slow tests has all browsers.
WORKERS ?=
# Without a browser, livekit or caddy their tests are skipped; REQUIRE=browser,livekit,caddy lets them fail instead.
REQUIRE ?=
REQUIRED := $(if $(REQUIRE),--require=$(REQUIRE))
VENV := .venv
BIN := $(VENV)/bin

# The first Python on the path that is new enough; PYTHON=... names another one.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: help demo test test-slow check bench bench-cost bench-media docs setup setup-dev lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## Try everything here and now, with a simulated avatar (PROVIDER=liveavatar or heygen-streaming for other APIs)
	@$(BIN)/avatar-relay demo --provider $(PROVIDER)

# Modules are read from what Python has kept of them, also where the environment says that it shall keep nothing: every
# process reads every test, and pytest rewrites what it reads.
test test-slow: export PYTHONDONTWRITEBYTECODE :=

test: $(VENV)/.dev ## Run the tests; PYTEST_ARGS="tests/unit -k words" runs some, WORKERS=0 in one process
	@$(BIN)/pytest -n $(or $(WORKERS),4) --dist loadfile -m "not slow" $(REQUIRED) $(PYTEST_ARGS)

test-slow: $(VENV)/.dev ## Run the slow tests: programs that are killed at every step, packed, set up, watched, soaked
	@$(BIN)/pytest -n $(or $(WORKERS),5) --dist load -m slow $(REQUIRED) $(PYTEST_ARGS)

check: $(VENV)/.dev ## Types, style, and the rules of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev ## Measure speed and memory, beside the bare client libraries
	@$(BIN)/python -m tests.bench

bench-cost: $(VENV)/.dev ## Price recorded days of channel talk (BENCH_ARGS="--days 6", "--linger 0,5,none", "--provider liveavatar")
	@$(BIN)/python -m tests.bench.cost $(BENCH_ARGS)

bench-media: $(VENV)/.dev ## Measure what it costs to serve the avatar's picture, and how late that makes it
	@$(BIN)/python -m tests.bench.media

docs: $(VENV)/.dev ## Build the documentation into build/site, with warnings as errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

setup: $(VENV)/.run ## Only make the environment

setup-dev: $(VENV)/.dev

lock: $(VENV)/.dev ## Renew the lock files (UPGRADE= keeps the versions they have)
	@$(INSTALL) uv
	@$(COMPILE) $(UPGRADE) --all-extras pyproject.toml -o requirements/run.lock
	@$(COMPILE) $(UPGRADE) --all-extras pyproject.toml --group dev --group docs -c requirements/run.lock -o requirements/dev.lock
	@$(COMPILE) $(UPGRADE) --extra discord --extra slack --extra postgres pyproject.toml -c requirements/run.lock \
		-o requirements/image.lock

clean: ## Remove the environment and every cache
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "avatar-relay needs Python 3.11 or newer: install it, or say PYTHON=/path/to/python3." >&2; exit 2; }
	@echo "Making the environment in $(VENV) (once)…"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module is missing: install it (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 2; }

$(VENV)/.run: requirements/run.lock pyproject.toml | $(BIN)/python
	@$(INSTALL) --require-hashes -r requirements/run.lock && $(INSTALL) --no-deps -e . || { $(TRY_AGAIN); exit 2; }
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	@$(INSTALL) --require-hashes -r requirements/dev.lock || { $(TRY_AGAIN); exit 2; }
	@touch $@

UPGRADE ?= --upgrade
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TRY_AGAIN := echo "The packages could not be installed: check the network and run the same again." >&2
