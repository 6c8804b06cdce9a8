# The commands of this project; `make help` lists them. Each is a small script in scripts/, which installs what is
# missing into .build/ first, and says what it does. Without PG= they use the newest Postgres that is supported.
export PG_CONFIG OLD_PG_CONFIG SERVER_USER PYTHON
# Only a URL given to make itself is taken: one that stands in the environment may be production's.
ifeq ($(origin DATABASE_URL),command line)
export DEMO_DATABASE_URL := $(DATABASE_URL)
endif

.PHONY: help demo test test-all prepare stress fuzz bench bench-scale install lint sql tables requirements clean
.DEFAULT_GOAL := help

help:            ## this list
	@sed -nE 's/^([a-z-]+): *## */\1\t/p' $(MAKEFILE_LIST) | expand -t 14
	@echo
	@echo "PG=MAJOR              the Postgres major (the newest by default), fetched for x86_64 Linux"
	@echo "PG_CONFIG=/path       instead: a private copy of that installation (make install: that installation itself)"
	@echo "OLD_PG_CONFIG=/path   make stress: the same for the major before, from which pg_upgrade is tested"
	@echo "DATABASE_URL=URL      make demo: on your own server, where the extension is installed, as its superuser"

demo:            ## a throwaway server, 100 calls of the real LiteLLM SDK, and what Postgres then holds
	@scripts/demo.sh $(PG)

test:            ## every test on one Postgres major
	@scripts/test.sh run $(PG)

test-all:        ## the same on the newest major, and on each other one what depends on the server
	@scripts/test.sh run all

prepare:         ## only build and install what a test started by hand needs; see CONTRIBUTING.md
	@scripts/test.sh prepare $(PG)

stress:          ## the long forms of the tests, about half an hour, on one Postgres major
	@scripts/test.sh stress $(PG)

fuzz:            ## the fuzz targets, FUZZ_SECONDS (60) each; see fuzz/README.md
	@scripts/test.sh fuzz

bench:           ## measure a release build beside its peers, a quarter of an hour; writes docs/benchmarks.md (ROWS=1,3: some rows)
	@scripts/bench.sh "$(PG)" $(if $(ROWS),--rows $(ROWS))

bench-scale:     ## the long forms of those rows whose subject is size: millions of rows, gigabytes of records
	@scripts/bench.sh "$(PG)" --scale

install:         ## build a release and install it into the Postgres of PG_CONFIG= (pg_config on PATH by default)
	@scripts/install.sh

lint:            ## cargo fmt, clippy and ruff; warnings are errors
	@scripts/lint.sh $(PG)

sql:             ## write the install SQL anew from what the code declares (for maintainers)
	@scripts/generate.sh sql

tables:          ## write sql/litellm_tables.sql anew from LiteLLM's migrations (for maintainers)
	@scripts/generate.sh tables

requirements:    ## pin the Python packages of the tests anew, with hashes (for maintainers)
	@scripts/generate.sh requirements

clean:           ## remove all that was built, the servers' copies of Postgres included; what the fuzzer learned stays
	@bash -c 'source scripts/lib.sh; rm -rf "$$(server_root)" "$$BUILD" "$$ROOT/python/build" "$${CARGO_TARGET_DIR:-$$ROOT/target}"'
