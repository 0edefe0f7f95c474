# make demo: train a ViT on real images, evaluate it, use it. make test: the tests.
# Each target makes or refreshes .venv itself. PYTHON=python3.12 make test takes another.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Named after the interpreter: another PYTHON makes the environment anew.
STAMP := $(VENV)/.installed-$(notdir $(PYTHON))
WORKDIR ?= runs/digits

.PHONY: demo test test-fast lint format clean

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

$(STAMP): pyproject.toml constraints.txt Makefile
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[test]" -c constraints.txt
	touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache runs
