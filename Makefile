# Recipes are one line each: the logic is in Python, where it is tested. What people type (TITLE=...) reaches the shell
# through the environment, into which make exports it, so that a quote in a title stays a quote; a title goes there as
# it was typed, because make would take a dollar sign in it ("$9.99", a film of 2008) for a variable of its own.
override TITLE := $(value TITLE)
export TITLE
PYTHON ?= python3
RUN = .venv/bin/python
# ENGINE=docker: the same commands in containers, for which nothing is installed here
PLATFORM = $(if $(filter docker,$(ENGINE)),$(PYTHON) deploy/compose.py,$(RUN) -m orchestration)
NEEDED = $(if $(filter docker,$(ENGINE)),,install)
.DEFAULT_GOAL := help
.PHONY: help install install-dev up restart down status logs download-data init-infra train-model predict evaluate \
        rollback cleanup-mlflow docs notebooks backfill expire doctor backup restore image bench-first-run bench-features bench-serving bench-endurance bench-pages screenshots lint types unit-test test \
        feast-ui sbom audit clean lock

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## make the environment (.venv) for running
	@$(PYTHON) orchestration/environment.py

install-dev: ## make the environment for developing and testing
	@$(PYTHON) orchestration/environment.py --dev

up: $(NEEDED) ## from nothing to a page that answers; safe to repeat (ENGINE=docker: in containers)
	@$(PLATFORM) up

status: $(NEEDED) ## what runs, what is loaded, which model answers
	@$(PLATFORM) status

logs: $(NEEDED) ## the last lines of every log, and where the logs are
	@$(PLATFORM) logs

restart: install ## new code and .env for the running server, without a lost request
	@$(RUN) -m orchestration restart

down: $(NEEDED) ## stop what `make up` started
	@$(PLATFORM) down

download-data: install ## fetch the films (Kaggle with credentials, else the synthetic sample)
	@$(RUN) -m ingestion download

init-infra: $(NEEDED) ## start PostgreSQL, MLflow and the server
	@$(PLATFORM) init-infra

train-model: $(NEEDED) ## load, build, publish the features and train a model
	@$(PLATFORM) train-model

evaluate: install ## print the model's figures on both splits; writes reports/evaluation.json
	@$(RUN) -m orchestration evaluate

predict: install ## ask the running server: make predict TITLE="..." [YEAR=...], or TMDB_ID=...
	@$(RUN) -m serving predict $(if $(TMDB_ID),--tmdb-id "$$TMDB_ID",--title "$$TITLE" $(if $(YEAR),--year "$$YEAR"))

rollback: install ## give the alias champion back to the version before, or to one: make rollback VERSION=3
	@$(RUN) -m training rollback $(if $(VERSION),--to "$$VERSION")

cleanup-mlflow: install ## delete experiments and models, and collect garbage; asks; never the champion without FORCE=1
	@$(RUN) -m training cleanup-mlflow $(if $(FORCE),--force)

docs: install ## dbt's documentation and lineage as one static page
	@$(RUN) -m orchestration docs

notebooks: install-dev ## run analysis/ on what is loaded and write docs/analysis/
	@$(RUN) -m analysis.render

feast-ui: install ## Feast's own console of views and services, on port 8888
	@$(RUN) -m orchestration.feast_ui

backfill: install ## fetch every film of the catalogue from TMDB, within its limits; resumable
	@$(RUN) -m serving backfill

expire: install ## delete TMDB answers and logged predictions older than 180 days
	@$(RUN) -m serving expire

doctor: install ## find the usual problems and say what to do
	@$(RUN) -m orchestration.doctor

backup: install ## save database and artifacts: make backup TO=backups/today
	@$(RUN) -m orchestration.backup save "$$TO"

restore: install ## put a backup back: make restore FROM=backups/today; asks, unless YES=1
	@$(RUN) -m orchestration.backup restore "$$FROM" $(if $(YES),--yes)

image: ## build the container image and measure it; refuses one of 1.5 GB or more
	@$(PYTHON) deploy/compose.py image

bench-first-run: install-dev ## time a first visit in an empty folder
	@$(RUN) -m benchmarks.first_run

bench-features: install-dev ## time joins, materialization and online reads beside Feast's own stores and DuckDB
	@$(RUN) -m benchmarks.features

bench-serving: install-dev ## time the running server beside the reference design and MLflow's own server
	@$(RUN) -m benchmarks.serving

bench-endurance: install-dev ## ask a server of its own 100,000 times; its answers stay right and its memory flat
	@$(RUN) -m benchmarks.serving.endurance

bench-pages: install-dev ## time every page of the running server, and weigh it
	@$(RUN) -m benchmarks.pages

screenshots: install-dev ## write docs/screenshots/ from the running server (synthetic sample only)
	@$(RUN) -m benchmarks.screenshots

lint: install-dev ## style and imports of Python and SQL
	@$(RUN) -m orchestration lint

types: install-dev ## static types
	@$(RUN) -m mypy

unit-test: install-dev ## the tests that need no network and no database
	@$(RUN) -m pytest tests/unit

test: install-dev lint types ## everything: style, types and all tests
	@$(RUN) -m pytest -n logical --maxprocesses 4 --dist loadfile

sbom: install-dev ## list every dependency in sbom.json (CycloneDX)
	@.venv/bin/cyclonedx-py requirements requirements.lock --output-file sbom.json

audit: install-dev ## known vulnerabilities of the locked versions (asks a public service)
	@.venv/bin/pip-audit --strict --requirement requirements.lock --require-hashes --disable-pip

clean: ## stop everything and delete the database, the models and the environment
	@if [ -x $(RUN) ]; then $(RUN) -m orchestration clean; fi
	@rm -rf .venv

lock: ## write the lock files anew from pyproject.toml (names no index)
	@uv pip compile --quiet --universal --generate-hashes --no-header --group build pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --generate-hashes --no-header --group build --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock
