# The commands of this project; `make help` lists them. Each is a small script in scripts/, which
# installs what is missing into .build/ first, and says what it does.
PG ?= $(if $(PG_CONFIG),$(shell $(PG_CONFIG) --version | sed -E 's/[^0-9]*([0-9]+).*/\1/'),18)
export PG_CONFIG OLD_PG_CONFIG SERVER_USER PYTHON
# Only a URL given to make itself is taken: one that stands in the environment may be production's.
ifeq ($(origin DATABASE_URL),command line)
export DEMO_DATABASE_URL := $(DATABASE_URL)
endif

.PHONY: help demo test test-all stress fuzz bench bench-scale install lint tables clean
.DEFAULT_GOAL := help

help:            ## this list
	@sed -nE 's/^([a-z-]+): *## */\1\t/p' $(MAKEFILE_LIST) | expand -t 12
	@echo
	@echo "PG=15|16|17|18        the Postgres major (18 by default), fetched for x86_64 Linux"
	@echo "PG_CONFIG=/path       instead: a private copy of that installation (make install: that installation itself)"
	@echo "OLD_PG_CONFIG=/path   make stress: the same for the major before, from which pg_upgrade is tested"
	@echo "DATABASE_URL=URL      make demo: on your own server, where the extension is installed"

demo:            ## a throwaway server, 100 calls of the real LiteLLM SDK, and what Postgres then holds
	@scripts/demo.sh $(PG)

test:            ## every test on one Postgres major
	@scripts/test.sh $(PG)

test-all:        ## every test on Postgres 15, 16, 17 and 18
	@scripts/test-all.sh

stress:          ## the long forms of the tests, about half an hour, on one Postgres major
	@scripts/stress.sh $(PG)

fuzz:            ## the fuzz targets, FUZZ_SECONDS (60) each; see fuzz/README.md
	@scripts/fuzz.sh

bench:           ## measure a release build beside its peers, a quarter of an hour; writes docs/benchmarks.md (ROWS=1,3: some rows)
	@scripts/bench.sh $(PG) $(if $(ROWS),--rows $(ROWS))

bench-scale:     ## the long forms of those rows whose subject is size: millions of rows, gigabytes of records
	@scripts/bench.sh $(PG) --scale

install:         ## build a release and install it into the Postgres of PG_CONFIG= (pg_config on PATH by default)
	@scripts/install.sh

lint:            ## cargo fmt, clippy and ruff; warnings are errors
	@scripts/lint.sh $(PG)

tables:          ## write sql/litellm_tables.sql anew from LiteLLM's migrations (for maintainers)
	@scripts/dump-litellm-tables.sh $(PG)

clean:           ## remove all that was built, the servers' copies of Postgres included
	@scripts/clean.sh
