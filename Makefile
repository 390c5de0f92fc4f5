# Two commands on a bare machine: make demo, make test. Everything they need is set up by what they depend on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export DAGSTER_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1

CUSTOMERS ?= 1000
DAYS ?= 90
DATA ?= data
DIR ?= ../shared/realdata
RUNS ?= 1000000

.PHONY: demo real ui docs test bench fuzz lint format manifest lock clean help

help: ## Show what there is to do.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(READY) ## The whole loop over a simulated utility: CUSTOMERS=1000 DAYS=90.
	@$(BIN)/gridcrm demo --customers $(CUSTOMERS) --days $(DAYS) --data $(DATA)

real: $(READY) ## Real sample files through the same SFTP server and job: DIR=../shared/realdata.
	@$(BIN)/gridcrm real $(DIR) --data $(DATA)-real

ui: $(READY) ## The Dagster UI and the dbt docs, over what the demo made.
	@$(BIN)/gridcrm ui --data $(DATA)

docs: $(READY) ## Generate the dbt docs as one page.
	@$(BIN)/gridcrm docs --data $(DATA)

test: $(READY) ## Every test, with coverage.
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report=term:skip-covered -q

bench: $(VENV)/.bench-ready ## One measure against its peer: NAME=nem12; without NAME, what there is.
	@$(BIN)/python -m benchmarks $(NAME)

fuzz: $(READY) ## Coverage-guided fuzzing, for the night: RUNS=1000000 inputs a format, FORMAT=nem12 for one.
	@$(BIN)/python -m tests.fuzz --runs $(RUNS) $(FORMAT)

lint: $(READY) ## ruff, mypy, sqlfluff.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@mkdir -p .cache  # sqlfluff's dbt templater works in the dbt project only, and opens a warehouse of its own
	@cd dbt_project && GRIDCRM_DATA=$(CURDIR)/.cache $(CURDIR)/$(BIN)/sqlfluff lint --disable-progress-bar models

format: $(READY) ## Format Python.
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

manifest: $(READY) ## Parse the dbt project; part of building a deployment.
	@GRIDCRM_DATA=$(abspath $(DATA)) $(BIN)/dbt parse --project-dir dbt_project --profiles-dir dbt_project

lock: $(READY) ## Pin every dependency again, with hashes and without addresses.
	@$(BIN)/python -m pip install --quiet uv && $(BIN)/uv pip compile pyproject.toml --universal \
	--generate-hashes --python-version 3.11 --extra dev --no-header --no-emit-index-url -q -o requirements.lock
	@$(BIN)/uv pip compile benchmarks/requirements.in -c requirements.lock --universal --generate-hashes \
	--python-version 3.11 --no-header --no-annotate --no-emit-index-url -q -o benchmarks/requirements.lock

clean: ## Remove everything that was made: environment, data, caches.
	@rm -rf $(VENV) $(DATA) $(DATA)-real dbt_project/target dbt_project/logs .pytest_cache .mypy_cache \
	.ruff_cache .cache .fuzz .hypothesis .coverage .coverage.* htmlcov build *.egg-info
	@find . \( -name __pycache__ -o -name .ruff_cache \) -type d -prune -exec rm -rf {} +

$(VENV)/.bench-ready: benchmarks/requirements.lock $(READY)
	@echo "Installing the peers that benchmarks measure against (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	-r benchmarks/requirements.lock && touch $@

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	"GridCRM needs Python 3.11, 3.12 or 3.13; this is %d.%d: make PYTHON=python3.11 …" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies into $(VENV) (once) …"
	@{ $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements.lock && \
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
	--config-settings editable_mode=compat -e . ; } >$(VENV)/install.log 2>&1 || { cat $(VENV)/install.log; exit 1; }
	@$(BIN)/python -c 'import connectors, orchestration, dagster, duckdb' && touch $@
