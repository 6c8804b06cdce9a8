# The commands of this project; `make help` lists them. Each command runs a small script in scripts/. The script first
# installs what is missing into .build/, and prints what it does. Without PG= it uses the newest supported Postgres.
export PG_CONFIG OLD_PG_CONFIG SERVER_USER PYTHON
# Only a URL given to make itself is used, because a URL in the environment may be production's.
ifeq ($(origin DATABASE_URL),command line)
export DEMO_DATABASE_URL := $(DATABASE_URL)
endif

.PHONY: help demo test test-all prepare stress fuzz bench bench-scale install package lint sql tables requirements clean
.DEFAULT_GOAL := help

help:            ## print this list
	@sed -nE 's/^([a-z-]+): *## */\1\t/p' $(MAKEFILE_LIST) | expand -t 14
	@echo
	@echo "PG=MAJOR              the Postgres major (the newest by default), fetched for x86_64 Linux"
	@echo "PG_CONFIG=/path       instead of PG=: a private copy of that installation (make install: that installation itself)"
	@echo "OLD_PG_CONFIG=/path   make stress: a private copy of this Postgres of the previous major, for the tests of pg_upgrade"
	@echo "DATABASE_URL=URL      make demo: on your own server, where the extension is installed, as its superuser"

demo:            ## run 100 calls of the real LiteLLM SDK against a throwaway server, and show what Postgres then holds
	@scripts/demo.sh $(PG)

test:            ## run every test on one Postgres major
	@scripts/test.sh run $(PG)

test-all:        ## run every test on the newest major, and the tests that depend on the server on each other major
	@scripts/test.sh run all

prepare:         ## only build and install what a manual run of a test needs; see CONTRIBUTING.md
	@scripts/test.sh prepare $(PG)

stress:          ## run the long forms of the tests, about half an hour, on one Postgres major
	@scripts/test.sh stress $(PG)

fuzz:            ## run the fuzz targets, FUZZ_SECONDS (60) each; see fuzz/README.md
	@scripts/test.sh fuzz

bench:           ## measure a release build and its peers, a quarter of an hour; writes docs/benchmarks.md (ROWS=1,3: only these rows)
	@scripts/bench.sh "$(PG)" $(if $(ROWS),--rows $(ROWS))

bench-scale:     ## run the long forms of the benchmarks of size: millions of rows, gigabytes of records
	@scripts/bench.sh "$(PG)" --scale

install:         ## build a release and install it into the Postgres of PG_CONFIG= (pg_config on PATH by default)
	@scripts/install.sh

lint:            ## run cargo fmt, clippy, ruff and mypy; warnings are errors
	@scripts/lint.sh $(PG)

package:         ## build the wheel and the source distribution of the callback into dist/
	@scripts/package.sh

sql:             ## rewrite the install SQL from what the code declares (for maintainers)
	@scripts/generate.sh sql

tables:          ## rewrite sql/litellm_tables.sql from LiteLLM's migrations (for maintainers)
	@scripts/generate.sh tables

requirements:    ## pin the Python packages of the tests again, with hashes (for maintainers)
	@scripts/generate.sh requirements

clean:           ## remove everything that was built, including the servers' copies of Postgres; keep what the fuzzer learned
	@bash -c 'source scripts/lib.sh; rm -rf "$$(server_root)" "$$BUILD" "$$ROOT/python/build" "$$ROOT/dist" "$${CARGO_TARGET_DIR:-$$ROOT/target}"'
