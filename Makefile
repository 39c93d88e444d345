# Each target runs in a virtual environment of its own, .venv/<target>, made from the extra of that name
# (pyproject.toml) when it is first needed and refreshed when the extras change.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
SOAK := $(filter-out %/__init__.py %/load.py,$(wildcard tests/soak/*.py))
CODE := slacker tests examples benchmarks fuzz docs setup.py twisted/plugins/slacker_plugin.py
.PHONY: help demo test soak fuzz lint types docs bench bench-all bench-peers bench-pages bench-check clean
.NOTPARALLEL:
# A recipe that was interrupted must not leave an environment that looks ready.
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "PYTHON=python3.12 make … uses another Python than python3; make test COVERAGE=1 measures coverage."

demo: .venv/demo/ready-$(VERSION)  ## a cluster at work: two servers, a client, and a server that is killed
	@.venv/demo/bin/python -m examples.demo

test: .venv/test/ready-$(VERSION) .venv/transit/ready-$(VERSION)  ## all tests (with a real ZooKeeper if one is installed)
ifdef COVERAGE
	@.venv/test/bin/coverage erase
	@.venv/test/bin/coverage run -m twisted.trial --reporter=text tests
	@.venv/test/bin/coverage combine --quiet
	@.venv/test/bin/coverage report
else
	@.venv/test/bin/trial -j3 --reporter=text tests
endif

soak: .venv/test/ready-$(VERSION)  ## the nights a cluster must survive (real ZooKeeper), and a minute of each fuzz target
	@.venv/test/bin/trial --reporter=text $(patsubst tests/soak/%.py,tests.soak.%,$(SOAK))
	@.venv/test/bin/python -m fuzz --seconds 60

fuzz: .venv/test/ready-$(VERSION)  ## an hour of chance inputs for everything that reads a peer's bytes
	@.venv/test/bin/python -m fuzz --seconds 400

lint: .venv/lint/ready-$(VERSION)  ## rules and format (ruff)
	@.venv/lint/bin/ruff check --quiet $(CODE)
	@.venv/lint/bin/ruff format --quiet --check $(CODE) || \
		{ echo "Not formatted: .venv/lint/bin/ruff format $(CODE)" >&2; exit 1; }
	@echo "lint: nothing to say"

types: .venv/types/ready-$(VERSION)  ## static types (mypy, strict)
	@.venv/types/bin/mypy $(CODE)

docs: .venv/docs/ready-$(VERSION)  ## the documentation, into docs/_build
	@.venv/docs/bin/sphinx-build -W -q -b html docs docs/_build
	@echo "docs: open docs/_build/index.html"

bench: .venv/bench/ready-$(VERSION)  ## a minute: calls per second, beside a bare Twisted exchange
	@.venv/bench/bin/python -m benchmarks

bench-all: .venv/bench/ready-$(VERSION)  ## all that is measured, and which targets are met (some eleven minutes)
	@.venv/bench/bin/python -m benchmarks.content; status=$$?; \
		.venv/bench/bin/python -m benchmarks all && exit $$status

bench-peers: .venv/bench/ready-$(VERSION)  ## environments of other libraries, for bench-all to measure
	@.venv/bench/bin/python -m benchmarks.peers

bench-pages: .venv/bench/ready-$(VERSION)  ## tables and pictures of docs/performance.rst, from what bench-all measured
	@.venv/bench/bin/python -m benchmarks.pages

bench-check: .venv/bench/ready-$(VERSION)  ## before a release: no target is far out of reach
	@.venv/bench/bin/python -m benchmarks.content
	@.venv/bench/bin/python -m benchmarks --check

clean:  ## remove what the other targets made
	@rm -rf .venv docs/_build build txslacker.egg-info _trial_temp* .coverage*

.venv/%/ready-$(VERSION): pyproject.toml setup.py
	@command -v $(PYTHON) >/dev/null || { \
		echo "There is no $(PYTHON) here. Install Python 3.10 or later, or name yours: PYTHON=… make" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "$(PYTHON) is Python $(VERSION); 3.10 or later is needed. Name yours: PYTHON=… make" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)" >&2; \
		exit 1; }
	@echo "Preparing .venv/$* …"
	@test -e $@ || $(PYTHON) -m venv --clear .venv/$*
	@.venv/$*/bin/python -m pip install -qq --disable-pip-version-check --no-input --editable '.[$*]'
	@touch $@

# Another transit library for the tests to ask, away from ours: it brings a msgpack of its own. Where it cannot be had,
# its tests are left out, or fail where nothing may lack (.ci/run).
.venv/transit/ready-$(VERSION): | .venv/test/ready-$(VERSION)
	@echo "Preparing .venv/transit …"
	@$(PYTHON) -m venv --clear .venv/transit && \
		.venv/transit/bin/python -m pip install -qq --disable-pip-version-check --no-input --retries 1 transit-python2 && \
		touch $@ || { rm -rf .venv/transit; echo "No other transit library here: two tests are left out." >&2; }
