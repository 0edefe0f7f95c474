# make demo: train a ViT on real images, evaluate it, use it. make test: the tests.
# Each target creates or updates .venv itself. PYTHON=python3.12 make test uses another
# interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
# Named after the interpreter, so that another PYTHON starts a new environment.
STAMP := $(VENV)/.installed-$(notdir $(PYTHON))
WORKDIR ?= runs/digits

.PHONY: demo test test-fast lint format docs build check-tag clean

demo: $(STAMP)
	$(BIN)/vit-jax train --config=configs/digits.py --workdir=$(WORKDIR)
	$(BIN)/vit-jax eval --workdir=$(WORKDIR)
	rm -rf $(WORKDIR)/samples
	$(BIN)/vit-jax data export digits $(WORKDIR)/samples --split='test[:8]'
	$(BIN)/vit-jax predict --checkpoint=$(WORKDIR) $(WORKDIR)/samples

test: $(STAMP)
	$(BIN)/pytest -n auto

test-fast: $(STAMP)
	$(BIN)/pytest -n auto -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/mkdocs build --strict --quiet

# The wheel and the source archive, checked as the package index will check them.
build: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

# make check-tag TAG=v1.2.3: a tag must name the version that it releases.
check-tag: $(STAMP)
	test "$(TAG)" = "v$$($(BIN)/python -c 'import vit_jax; print(vit_jax.__version__)')"

$(STAMP): pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[test]" -c constraints.txt
	touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache dist runs site
