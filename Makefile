# Everything a clone needs: `make demo` and `make test` set themselves up.
#
#   make demo [DIR=folder]   lines, words and SHA-256 of every file below DIR, counted by jobs
#   make test                all tests, in parallel, on every PostgreSQL that is installed
#   make check               format, lint, types, layers, generated files
#   make model               the long form of the model tests
#   make long                what takes an hour: all pairs at all isolation levels, storms, a million jobs
#   make chaos               everything is killed and cut off for three minutes, and nothing may be lost
#   make chaos-long          the same for MINUTES=30, added to docs/reliability/chaos.md
#   make fuzz CASES=100000   malformed input for every function, method and command
#   make zombies CALLS=…     calls for runs that have ended: 100,000, and none may be accepted
#   make mixed CALLS=…       every function at once over 16 connections: 1,000,000 calls, and no deadlock
#   make limits JOBS=…       32 claimers that are killed, limits that change: no start above one, no rate passed
#   make seeded              every seeded bug is put into a copy of the sources, and a test has to notice it (an hour)
#   make soak MINUTES=30 RATE=1000   worker processes under load: nothing may leak
#   make bench [WITH=…]      Howdah beside pgqueuer and graphile-worker: docs/benchmarks/latest.md (up to 40 minutes)
#   make bench-all           and beside ten more queues on PostgreSQL and Redis: docs/benchmarks/all.md
#   make bench-first         first numbers: drain, publish, latency
#   make clean               remove what these targets made

MAKEFLAGS += --no-print-directory
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo test check format model long chaos chaos-long fuzz limits zombies mixed seeded soak bench bench-all bench-first setup clean

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

chaos: $(READY)
	@$(BIN)/python -m chaos run --seed 1 2 3 --seconds 60

MINUTES ?= 30
chaos-long: $(READY)
	@$(BIN)/python -m chaos long --minutes $(MINUTES) --ledger 300

CASES ?= 100000
fuzz: $(READY)
	@$(BIN)/python -m proofs.fuzz --cases $(CASES)

JOBS ?= 100000
limits: $(READY)
	@$(BIN)/python -m proofs.limits --jobs $(JOBS) --page

zombies: CALLS ?= 100000
zombies: $(READY)
	@$(BIN)/python -m proofs.zombies --calls $(CALLS) --page

mixed: CALLS ?= 1000000
mixed: $(READY)
	@$(BIN)/python -m proofs.mixed --calls $(CALLS) --page

seeded: $(READY)
	@$(BIN)/python -m proofs.seeded

RATE ?= 1000
soak: $(READY)
	@$(BIN)/python -m proofs.soak --minutes $(MINUTES) --rate $(RATE)

# WITH="--only W3,W4 --rounds 3 --peers howdah,howdah@HEAD,pgqueuer" and the like; `python -m bench --help` tells.
bench: $(READY)
	@$(BIN)/python -m bench --rounds 5 --minutes 35 --report docs/benchmarks/latest $(WITH)

bench-all: $(READY)
	@$(BIN)/python -m bench --peers all --only W1,W2,W3,W3b,W4,W5 --rounds 3 --report docs/benchmarks/all $(WITH)

bench-first: $(READY)
	@$(BIN)/python bench/first_numbers.py

setup: $(READY)

$(READY): pyproject.toml scripts/setup
	@scripts/setup .venv
	@touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
