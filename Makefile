# Everything a clone needs: `make demo` and `make test` set themselves up.
#
#   make demo [DIR=folder]   lines, words and SHA-256 of every file below DIR, counted by jobs
#   make test                all tests, in parallel, on every PostgreSQL that is installed
#   make check               format, lint, types, layers, generated files
#   make model               the long form of the model tests
#   make long                what takes an hour: all pairs at all isolation levels, storms, a million jobs
#   make bench-first         first numbers: drain, publish, latency
#   make clean               remove what these targets made

MAKEFLAGS += --no-print-directory
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo test check format model long bench-first setup clean

help:
	@sed -n 's/^#   //p' Makefile

# The demo reads the standard library of the Python it runs on, unless DIR names a folder.
# DIR goes through the environment, so that a folder may have any name.
export DIR
demo: $(READY)
	@$(BIN)/howdah demo "$${DIR:-$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')}"

test: $(READY)
	@scripts/test

check: $(READY)
	@scripts/check

format: $(READY)
	@$(BIN)/ruff check --fix --quiet
	@$(BIN)/ruff format --quiet

model: $(READY)
	@scripts/model

long: $(READY)
	@scripts/long

bench-first: $(READY)
	@$(BIN)/python bench/first_numbers.py

setup: $(READY)

$(READY): pyproject.toml scripts/setup
	@scripts/setup .venv
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
