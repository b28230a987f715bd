# Triptych: `make demo` and `make test` work from a bare clone; all that is installed goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= runs/demo

# How the bench draws with nano networks, and what stands beside a trained one.
DRAWN := --size 96 --steps 12 --shift true --id-shift o --cfg-scale 2 --batch 16 --workers 2
SYSTEMS := --system copy-content --system copy-style --system truth --system base=nano-base

.PHONY: setup demo loop family ablations test test-slow lint bench bench-training images clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Triptych needs Python 3.11 or newer; name one with 'make PYTHON=python3.12'."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,model,neural]'
	@touch $@

.PHONY: npm
npm:
	@command -v npm >/dev/null || { echo "The artwork is fetched with npm, which was not found: install Node.js (it brings npm), then run make again."; exit 1; }

# Curation with experts that draw, both stages of USO for a short while, and what it draws of held-out subjects.
demo: npm setup
	$(BIN)/triptych corpus fetch
	$(BIN)/triptych curate run jobs/demo.yaml --store $(STORE)
	$(BIN)/triptych train jobs/nano/demo-stage2.yaml --data $(STORE) --out $(STORE)-uso/stage2 --set runs=$(STORE)-uso --resume latest
	$(BIN)/triptych bench build nano --contents 8 --styles 6 --named 2 --out $(STORE)-bench
	$(BIN)/triptych bench run $(STORE)-bench --out $(STORE)-bench/drawn $(SYSTEMS) --system uso=$(STORE)-uso/stage2 $(DRAWN)
	@echo
	@echo "Look at: $(STORE)/report/index.html (curation), $(STORE)-uso/stage2/report.html (training),"
	@echo "  $(STORE)-bench/drawn/report.html (what USO draws of held-out subjects, beside base, copies and truth)."

# The long version of the demo: more candidates, both stages in full, a larger bench.
loop: npm setup
	$(BIN)/triptych corpus fetch
	$(BIN)/triptych curate run jobs/nano/loop.yaml --store runs/loop/store
	$(BIN)/triptych train jobs/nano/stage2.yaml --data runs/loop/store --out runs/loop/stage2 --set runs=runs/loop --resume latest
	$(BIN)/triptych bench build nano --out runs/loop/bench
	$(BIN)/triptych bench run runs/loop/bench --out runs/loop/bench/drawn $(SYSTEMS) --system expert=nano --system uso=runs/loop/stage2 $(DRAWN)

# The nano family anew, as it ships: data, autoencoder, base, experts. About an hour and a half on two cores, added up from its parts.
family: npm setup
	$(BIN)/triptych corpus fetch
	$(BIN)/triptych curate run jobs/nano/data.yaml --store runs/nano/data
	$(BIN)/triptych train jobs/nano/reference.yaml --data runs/nano/data --out runs/nano/reference --resume latest
	$(BIN)/triptych nano pack
	$(BIN)/triptych train jobs/nano/stylize.yaml --data runs/nano/data --out runs/nano/stylize --resume latest
	$(BIN)/triptych train jobs/nano/destylize.yaml --data runs/nano/data --out runs/nano/destylize --resume latest
	$(BIN)/triptych nano pack --curves docs/images/nano-curves.png

# What the parts of the method are worth: variants of USO, three seeds each, on nano-bench.
ablations: npm setup
	$(BIN)/triptych corpus fetch
	$(BIN)/python benchmarks/ablations jobs/nano/ablations/data.yaml
	$(BIN)/python benchmarks/ablations jobs/nano/ablations/method.yaml

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

# The images of docker/, built with docker. TORCH_INDEX is the address of PyTorch's index of CPU wheels: without it, the image
# for nodes without a GPU is some 4 GB larger.
images:
	docker build --file docker/Dockerfile --target cpu --build-arg TORCH_INDEX=$(TORCH_INDEX) --build-arg REVISION=$(shell git rev-parse HEAD) --tag triptych:cpu .
	docker build --file docker/Dockerfile --target gpu --build-arg REVISION=$(shell git rev-parse HEAD) --tag triptych:gpu .

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
