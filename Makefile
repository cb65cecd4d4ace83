# make demo    installs what it needs and shows the whole of it on an embedded PostgreSQL
# make test    sets everything up and runs the tests that a change is likely to break (ten minutes)
# make test-all
#              runs all tests, the proofs and what is slow included (up to 43 minutes)
# make test-lowest
#              runs the tests of the manager, the functions and the revisions on the lowest versions
#              of the core dependencies
# make test-matrix
#              runs them on PostgreSQL 15 to 18, or on some: make test-matrix VERSIONS="15 18"
# make test-isolation
#              every order of events, all of them (an hour)
# make test-model
#              long random sequences of every operation, against a model, and random databases around
#              the chat tables (half an hour)
# make test-faults
#              200 kills, cuts and full disks while clients work (ten minutes)
# make test-mutations
#              every deliberate fault in the SQL, each caught by a named test (half an hour)
# make lint    formatting, linters, types
# make audit   asks PyPI for advisories about what constraints.txt pins
# make bench   measures, and writes bench/results (half an hour); make bench NAMES="prune size"
# make bench-quick
#              the same on small data: for its correctness, not for its figures
# make bench-check
#              measures, and fails where a figure is worse than the committed one
# make sql-next NAME=prune_sessions
#              copies the newest version of an SQL object to the next number, and writes the revision
# make sql-diff NAME=prune_sessions
#              shows what the newest version changes
# make schema  writes tests/install/schema.sql, the schema at the newest revision
# make wheel   builds the wheel and tries it in a fresh environment

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_OPTIONS := --constraint constraints.txt --disable-pip-version-check
# More than cores: tests wait for processes, locks and disks.
WORKERS ?= 4
PARALLEL := --numprocesses=$(WORKERS) --dist=worksteal
# What calls SQLAlchemy, psycopg and Alembic.
LOWEST := tests/session_manager tests/install/test_alembic.py tests/install/test_operations.py \
	tests/install/test_schema.py tests/test_database.py tests/test_errors.py tests/test_functions.py

.PHONY: demo test test-all test-lowest test-matrix test-isolation test-model test-faults test-mutations \
	lint audit format sql-next sql-diff schema \
	bench bench-quick bench-check wheel clean

demo: $(VENV)/demo
	$(BIN)/aria-db demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL) $(PYTEST_ARGS)

test-all: $(VENV)/installed
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

test-lowest: $(VENV)/lowest/installed
	$(VENV)/lowest/bin/python -m pytest -m "not slow" $(PARALLEL) $(LOWEST) $(PYTEST_ARGS)

test-matrix: $(VENV)/installed
	$(BIN)/python -m tests.matrix --workers=$(WORKERS) $(VERSIONS)

test-isolation: $(VENV)/installed
	$(BIN)/python -m pytest tests/proofs/isolation --deep $(PARALLEL) $(PYTEST_ARGS)

test-model: $(VENV)/installed
	$(BIN)/python -m pytest tests/proofs/model tests/proofs/conservation --hypothesis-profile=deep --numprocesses=2 $(PYTEST_ARGS)

test-faults: $(VENV)/installed
	$(BIN)/python -m tests.proofs.faults --faults 200

test-mutations: $(VENV)/installed
	$(BIN)/python -m tests.proofs.mutations

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar sql
	$(BIN)/alembic upgrade head --sql > $(VENV)/upgrade.sql
	$(BIN)/alembic -x adopt=aria_engine upgrade head --sql > $(VENV)/adopt.sql
	$(BIN)/squawk $(VENV)/upgrade.sql $(VENV)/adopt.sql
	$(BIN)/pip check

# Strict: what cannot be asked about is a failure. CI may be behind a mirror that knows no
# advisories; it takes STRICT= and tells which packages it knows nothing of.
STRICT ?= --strict
audit: $(VENV)/installed
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip $(STRICT)

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --disable-progress-bar sql

sql-next sql-diff: sql-%: $(VENV)/installed
	$(BIN)/python -m migrations.sql_version $* $(NAME)

schema: $(VENV)/installed
	$(BIN)/python -m tests.install.dump

bench: $(VENV)/installed
	$(BIN)/python -m bench $(NAMES)

bench-quick: $(VENV)/installed
	$(BIN)/python -m bench --quick $(NAMES)

bench-check: $(VENV)/installed
	$(BIN)/python -m bench --check $(NAMES)

# The wheel in a fresh environment, outside the checkout, with a database of its own:
# first without the other extras, as a deploy may have it.
FRESH := $(CURDIR)/$(VENV)/wheel/fresh/bin
wheel: $(VENV)/installed
	rm -rf $(VENV)/wheel
	$(BIN)/python -m build --wheel --outdir $(VENV)/wheel .
	$(PYTHON) -m venv $(VENV)/wheel/fresh
	for extra in embedded all; do \
		$(FRESH)/pip install --quiet --constraint constraints.txt \
			"aria-db[$$extra] @ file://$$(echo $(CURDIR)/$(VENV)/wheel/*.whl)" \
		&& cd / && ARIA_DB_DATA=$(CURDIR)/$(VENV)/wheel/data $(FRESH)/aria-db upgrade --embedded \
		&& cd $(CURDIR) || exit 1; \
	done
	cd / && $(FRESH)/aria-db demo

# Made again when what is installed changes. The demo does not need the tools of development.
$(VENV)/demo: pyproject.toml constraints.txt
	@echo "Installing aria-db into $(VENV), which takes half a minute"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP_OPTIONS) --editable ".[all]"
	@touch $@

$(VENV)/installed: $(VENV)/demo
	$(BIN)/pip install $(PIP_OPTIONS) --editable ".[dev]"
	@touch $@

$(VENV)/lowest/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(VENV)/lowest
	$(VENV)/lowest/bin/pip install --quiet --constraint constraints-lowest.txt \
		--editable ".[cli,embedded]" anyio pytest pytest-alembic pytest-postgresql pytest-xdist
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
