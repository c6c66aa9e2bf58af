# Everything sets itself up: Debian packages that are missing (it says which and why), then .venv. See `make help`.
.DEFAULT_GOAL := help
.PHONY: run test test-fast test-of test-all check e2e bench fuzz soak conformance install-tools clean help
PYTHON := .venv/bin/python
MINUTES := 60

run: ## install the gateway for this user and start it (in the foreground where no systemd user manager answers)
	@scripts/packages.sh run
	@scripts/venv.sh run
	@scripts/run.sh

test: install-tools ## everything that a change can break; the end-to-end ones need root and cgroup v2 and say so where they cannot run
	@scripts/test.sh most $(ARGS)

test-fast: install-tools ## what needs no process but pytest's, with few examples: for the inner loop
	@scripts/test.sh fast $(ARGS)

test-of: install-tools ## FILE=gateway/runs/owner.py: only the tests of that file, with all examples
	@EFFORT=1 scripts/test.sh of "$(FILE)" $(ARGS)

test-all: install-tools ## all tests, each example and step of them, the soak, other releases of Debian: an hour
	@scripts/packages.sh distros || echo "So the tests run on this release alone." >&2
	@scripts/test.sh all $(ARGS)

e2e: install-tools ## only the end-to-end tests, under a real systemd user manager; fails where they cannot run
	@scripts/test.sh e2e $(ARGS)

check: install-tools ## style, types, layers, documentation
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m pytest -q tests/test_layers.py tests/test_mirror.py tests/test_docs.py tests/test_locks.py

bench: install-tools ## measure restarts, start-up, memory, throughput and answers; writes bench/results.md
	$(PYTHON) bench/run.py $(ARGS)

soak: install-tools ## MINUTES=60 of a crowd talking to a gateway that is restarted, killed and edited all the time
	$(PYTHON) -m tests.soak --minutes $(MINUTES) $(ARGS)

fuzz: install-tools ## MINUTES=10 of coverage-guided fuzzing, TARGET="http rpc" for some of it; what it finds comes into tests/fuzz/corpus
	@scripts/venv.sh fuzz
	$(PYTHON) -m tests.fuzz --minutes $(MINUTES) $(TARGET)

conformance: install-tools ## run OpenClaw's own command lines, terminals and pages against the gateway (first use: npm, Chromium, tmux)
	@scripts/packages.sh conformance
	$(PYTHON) conformance/run.py $(ARGS)

install-tools: ## only the set-up: packages and .venv with the development tools
	@scripts/packages.sh test
	@scripts/venv.sh test

clean: ## remove .venv and everything that was built or cached
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this text
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 16
