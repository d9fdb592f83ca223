# Tepui: `make run`, `make demo`, `make test`. Each installs what it needs; see README.md.
.PHONY: help run demo test test-long build fmt ledger
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

run: ## start a cluster, run a demo framework on it, stay up with the web admin until Ctrl-C
	@scripts/run.sh --stay

demo: ## the same, but ends by itself: exit 0 only if every task ended as it should
	@scripts/run.sh

test: ## all that proves the project
	@scripts/test.sh

test-long: ## the same with many more inputs, repeats and the benches
	@scripts/test.sh long

build: ## the release build of the whole workspace
	@scripts/setup.sh build
	@bash -c '. scripts/env.sh && build_release && say "built $$(tepui_bin)"'

fmt: ## format the Rust code
	@cargo fmt --all

ledger: ## counts of the ledger of Mesos' own tests
	@integration/conformance/ledger_check.py --summary
