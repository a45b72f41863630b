# `make help` lists the targets. Each is one line that also works without make (see CONTRIBUTING.md for Windows).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-tutorials export types docs ablate bench bench-full clean
help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/run.ok: settings.ini setup.py
	@echo "Installing into $(VENV); torch is large, so this takes a few minutes ..."
	$(PYTHON) -m venv "$(VENV)" && "$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e . && touch "$@"

$(VENV)/dev.ok: $(VENV)/run.ok
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e '.[dev,timm]' && touch "$@"

demo: $(VENV)/run.ok ## Make a synthetic survey, train on it, predict it, write a submission and a page of pictures to demo/
	"$(BIN)/python" -m salt_identification demo --out demo --overwrite

test: $(VENV)/dev.ok ## Check that notebooks are clean and equal the library, run the library's notebooks, the first tutorial and pytest
	"$(BIN)/python" tests/check.py

test-tutorials: $(VENV)/dev.ok ## Run all tutorials in their short form; `make test` has the first only
	"$(BIN)/python" tests/check.py --tutorials

export: $(VENV)/dev.ok ## Write the library and README.md from the notebooks
	"$(BIN)/python" tests/check.py --fix

$(VENV)/docs.ok: $(VENV)/run.ok
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e '.[docs]' && touch "$@"

types: $(VENV)/dev.ok ## Let pyright look at the library (it comes with node)
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check pyright && "$(BIN)/pyright" --pythonpath "$(BIN)/python"

docs: $(VENV)/docs.ok ## Build the documentation into docs/_site, and check its links
	"$(BIN)/python" docs/bridge.py docs/_build
	"$(BIN)/python" -m sphinx -q -W --keep-going -b html docs/_build docs/_site
	"$(BIN)/python" docs/check_site.py docs/_site

.venv-bench/bench.ok: settings.ini benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench && .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt -e . && touch "$@"

bench: .venv-bench/bench.ok ## How fast, against fastai, smp and others: 20 minutes; writes benchmarks/latest.json and RESULTS.md
	.venv-bench/bin/python -W ignore benchmarks/bench.py --write

bench-full: .venv-bench/bench.ok ## Curves and the score at equal minutes: make bench-full DATA=folder (hours; goes on where it was stopped)
	.venv-bench/bin/python -W ignore benchmarks/bench.py --full bench_full $(if $(DATA),--data "$(DATA)")

ablate: $(VENV)/dev.ok ## What each ingredient is worth: make ablate DATA=folder ARGS='--minutes 8 --seeds 0' (hours; goes on where it was stopped)
	"$(BIN)/python" benchmarks/ablate.py "$(DATA)" --out ablations $(ARGS)

clean: ## Remove the virtual environments, the built site, and what the demo wrote
	rm -rf "$(VENV)" .venv-bench demo docs/_build docs/_site
