# Every target prepares what it needs from a bare Python >= 3.11; nothing is installed outside this folder.
# Names are relative on purpose: the folder may have spaces in its path.
.DEFAULT_GOAL := help
.PHONY: help run test campaign check format bench lock clean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?=
ARGS ?=
BIN := .venv/bin

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16
	@echo "  Options of the command behind a target go into ARGS: make run ARGS='--port 9000'"

run: .venv/.run ## start the whole service on this machine (invoicing up)
	@exec $(BIN)/invoicing up $(ARGS)

test: .venv/.dev ## every test, all tiers
	@exec $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS)

campaign: .venv/.dev ## half an hour of faults from a random seed, and what they did (ARGS='--seed 7 --minutes 5')
	@exec $(BIN)/python -m tests.acceptance.campaign $(ARGS)

check: .venv/.dev ## lint, format, types, import contracts: all of them, even after a finding
	@found=; for tool in 'ruff check' 'ruff format --check' mypy 'lint-imports --no-logo'; do \
		echo "$$tool"; $(BIN)/$$tool || found=yes; \
	done; test -z "$$found"

format: .venv/.dev ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix-only --exit-zero
	$(BIN)/ruff format

bench: .venv/.bench ## measure, beside the peers
	@exec $(BIN)/python -m benchmarks $(ARGS)

lock: .venv/.run ## refresh requirements/*.lock from pyproject.toml (newest versions: ARGS=--upgrade)
	@sh requirements/lock.sh $(ARGS)

clean: ## remove what the targets made, but not the service's data in .invoicing
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	find . -name .invoicing -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run .venv/.dev .venv/.bench: .venv/.%: requirements/%.lock requirements/build.lock pyproject.toml
	@PYTHON='$(PYTHON)' sh requirements/install.sh $*
