# Recipes are one line each: the logic is in Python, where it is tested.
PYTHON ?= python3
RUN = .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help install install-dev up down status logs download-data init-infra train-model predict evaluate \
        bench-first-run bench-features lint types unit-test test clean lock

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## make the environment (.venv) for running
	@$(PYTHON) orchestration/environment.py

install-dev: ## make the environment for developing and testing
	@$(PYTHON) orchestration/environment.py --dev

up: install ## from nothing to a page that answers; safe to repeat
	@$(RUN) -m orchestration up

status: install ## what runs, what is loaded, which model answers
	@$(RUN) -m orchestration status

logs: install ## the last lines of every log, and where the logs are
	@$(RUN) -m orchestration logs

down: install ## stop what `make up` started
	@$(RUN) -m orchestration down

download-data: install ## fetch the films (Kaggle with credentials, else the synthetic sample)
	@$(RUN) -m ingestion download

init-infra: install ## start PostgreSQL, MLflow and the server
	@$(RUN) -m orchestration init-infra

train-model: install ## load, build, publish the features and train a model
	@$(RUN) -m orchestration train-model

evaluate: install ## print the model's figures on both splits; writes reports/evaluation.json
	@$(RUN) -m orchestration evaluate

predict: install ## ask the running server: make predict TITLE="..." [YEAR=...]
	@$(RUN) -m serving predict --title "$(TITLE)" $(if $(YEAR),--year "$(YEAR)")

bench-first-run: install-dev ## time a first visit in an empty folder
	@$(RUN) -m benchmarks.first_run

bench-features: install-dev ## time joins, materialization and online reads beside Feast's own stores and DuckDB
	@$(RUN) -m benchmarks.features

lint: install-dev ## style and imports of Python and SQL
	@$(RUN) -m orchestration lint

types: install-dev ## static types
	@$(RUN) -m mypy

unit-test: install-dev ## the tests that need no network and no database
	@$(RUN) -m pytest tests/unit

test: install-dev lint types ## everything: style, types and all tests
	@$(RUN) -m pytest

clean: ## stop everything and delete the database, the models and the environment
	@if [ -x $(RUN) ]; then $(RUN) -m orchestration clean; fi
	@rm -rf .venv

lock: ## write the lock files anew from pyproject.toml (names no index)
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group build pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
