# Plain `make` lists every verb.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Nothing without a hash in a lock: no dependency is resolved, nothing is built from a source that a package brings.
LOCKED := -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes
PROJECT := -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
LOCKS := deploy/images/build.lock deploy/images/torch.lock deploy/images/runtime.lock tools/dev.lock
# The index of torch's CPU build. Where it cannot be reached, pip looks where it is set up to.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
HELM := .tools/helm4/helm
RUN := $(BIN)/python -m pytest
# Three files of tests at a time: many tests wait. The tests of a file share models and servers.
WORKERS ?= 3
PARALLEL := --numprocesses $(WORKERS) --dist loadfile
# A busy machine can stop a server or a whole test for seconds: what failed runs again, and the summary lists it as RERUN.
REPORT := --reruns 2 -rR --durations=15
CHARTS := helm/headway helm/headway-trigger

.DEFAULT_GOAL := help
.PHONY: help setup run servers test test-fast coverage check format proto docs dashboards bundle default-bundle golden chart lock audit sbom league league-models bench faults harm clean

help:  ## list every verb
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml $(LOCKS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(LOCKED) --requirement deploy/images/build.lock
	$(BIN)/python $(LOCKED) --requirement tools/dev.lock
	$(BIN)/python $(LOCKED) --requirement deploy/images/torch.lock --index-url $(TORCH_INDEX) --retries 1
	$(BIN)/python $(PROJECT)
	touch $(STAMP)

setup: $(STAMP)  ## make .venv with the runtime, the training packages and the development tools

$(BIN)/headway: pyproject.toml $(LOCKS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(LOCKED) --requirement deploy/images/build.lock
	$(BIN)/python $(LOCKED) --requirement deploy/images/runtime.lock
	$(BIN)/python $(PROJECT)
	touch $@

run: $(BIN)/headway  ## start the demo: three recorded workloads and a schedule, a live table, the gRPC port open
	$(BIN)/headway demo

servers:  ## install the servers and the Helm that the tests start: by the package manager as root, else below .tools/
	tools/test_servers.sh
	tools/helm.sh

test: $(STAMP) servers  ## run all tests, those against real servers included
	@failed=0; \
	$(RUN) -m 'not alone' $(PARALLEL) $(REPORT) || failed=1; \
	$(RUN) -m alone $(REPORT) || failed=1; \
	exit $$failed

coverage: $(STAMP)  ## run all tests and measure their coverage; fails below 90 % (scaler) and 85 % (training)
	$(BIN)/coverage erase
	$(MAKE) --no-print-directory test RUN='$(BIN)/coverage run -m pytest'
	$(BIN)/coverage combine --quiet
	@failed=0; for part in scaler:90 training:85; do \
		$(BIN)/coverage report --include="$${part%:*}/*" --fail-under="$${part#*:}" || failed=1; \
	done; exit $$failed

test-fast: $(STAMP)  ## run the tests that need no server
	$(BIN)/python -m pytest -m 'not server' -q $(PARALLEL)

check: $(STAMP)  ## format, lint, types, import contracts, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.generate --check
	$(BIN)/python -m training.shipped.seasonal --check

format: $(STAMP)  ## rewrite files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(STAMP)  ## generate scaler/metric/wire from proto/externalscaler.proto
	$(BIN)/python -m tools.generate proto

dashboards: $(STAMP)  ## generate the Grafana dashboards in helm/headway/files/dashboards
	$(BIN)/python -m tools.generate dashboards

docs: $(STAMP)  ## generate the reference pages in docs/, and the client of the API
	$(BIN)/python -m tools.generate docs
	$(BIN)/python -m tools.generate client

bundle: $(STAMP)  ## build the seasonal bundle that ships with the package
	$(BIN)/python -m training.shipped.seasonal

default-bundle: $(STAMP)  ## train the general bundle that ships: make default-bundle TRACES=FOLDER (a quarter of an hour)
	@test -d '$(TRACES)' || { echo 'TRACES must be the folder of the recorded systems: make default-bundle TRACES=FOLDER' >&2; exit 2; }
	$(BIN)/python -m training.shipped.general '$(TRACES)'

golden: $(STAMP)  ## render the chart's value sets into their golden files
	tools/helm.sh
	$(BIN)/python -m tests.helm.golden

chart:  ## lint and package the charts, with an index of a chart repository, into dist/charts
	tools/helm.sh
	$(HELM) lint --strict $(CHARTS)
	rm -rf dist/charts
	$(HELM) package $(CHARTS) --destination dist/charts
	$(HELM) repo index dist/charts

lock: $(STAMP)  ## update the locks after a change in pyproject.toml; make lock UPGRADE=1 takes newer versions
	$(BIN)/python -m tools.lock $(if $(UPGRADE),--upgrade)

audit: $(STAMP)  ## look for known vulnerabilities in all packages of the locks; fails, too, where the vulnerability database cannot be reached
	$(BIN)/python -m tools.audit

sbom: $(STAMP)  ## write the bills of materials of the images to build/sbom
	$(BIN)/python -m tools.sbom build/sbom

league: $(STAMP)  ## all ways of scaling over recorded systems: make league TRACES=FOLDER [BUNDLES=FOLDER] (hours)
	@test -d '$(TRACES)' || { echo 'TRACES must be the folder of the recorded systems: make league TRACES=FOLDER' >&2; exit 2; }
	$(BIN)/python benchmarks/league.py --traces '$(TRACES)' $(if $(BUNDLES),--bundles '$(BUNDLES)') --docs docs/league.md

league-models: $(STAMP)  ## bundles trained on a week as autoscalers, next to the general one: make league-models TRACES=FOLDER [BUNDLES=FOLDER] [RECIPES='prophet lstm'] (an hour)
	@test -d '$(TRACES)' || { echo 'TRACES must be the folder of the recorded systems: make league-models TRACES=FOLDER' >&2; exit 2; }
	$(BIN)/python benchmarks/league_models.py --traces '$(TRACES)' $(if $(BUNDLES),--bundles '$(BUNDLES)') $(if $(RECIPES),--recipes $(RECIPES))

bench: $(STAMP)  ## run every benchmark in its quick form
	$(BIN)/python benchmarks/rpc_latency.py --quick
	$(BIN)/python benchmarks/refresh.py --quick
	$(BIN)/python benchmarks/refresh_parts.py --quick
	$(BIN)/python benchmarks/restart.py --quick
	$(BIN)/python benchmarks/page.py --quick
	$(BIN)/python benchmarks/viewers.py --quick
	$(BIN)/python benchmarks/accuracy.py --quick
	$(BIN)/python benchmarks/replay.py --quick
	tools/helm.sh
	$(BIN)/python benchmarks/chart_render.py --quick
	$(BIN)/python benchmarks/install.py --quick
	$(BIN)/python -m benchmarks.faults.bystander --quick

faults: $(STAMP) servers  ## inject hundreds of faults and write what a bystander got to docs/faults.md (half an hour); QUICK=1 for minutes
	$(BIN)/python -m benchmarks.faults $(if $(QUICK),--quick,--write docs/faults.md)

harm: $(STAMP)  ## 100,000 cases of each property of an answer that does no harm (hours); CASES=1000 for fewer
	HARM_CASES=$(or $(CASES),100000) $(BIN)/python -m pytest tests/plan/test_do_no_harm.py -q --timeout=0 --reruns=0

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.* .tools
