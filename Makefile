# `make help` lists the targets. Each is one line that also works without make (see CONTRIBUTING.md for Windows).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test export ablate clean
help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/run.ok: settings.ini setup.py
	@echo "Installing into $(VENV); torch is large, so this takes a few minutes ..."
	$(PYTHON) -m venv "$(VENV)" && "$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e . && touch "$@"

$(VENV)/dev.ok: $(VENV)/run.ok
	"$(BIN)/python" -m pip install --quiet --disable-pip-version-check -e '.[dev,timm]' && touch "$@"

demo: $(VENV)/run.ok ## Make a synthetic survey, train on it, predict it, write a submission and a page of pictures to demo/
	"$(BIN)/python" -m salt_identification demo --out demo --overwrite

test: $(VENV)/dev.ok ## Check that notebooks are clean and equal the library, run every notebook and pytest
	"$(BIN)/python" tests/check.py

export: $(VENV)/dev.ok ## Write the library and README.md from the notebooks
	"$(BIN)/python" tests/check.py --fix

ablate: $(VENV)/dev.ok ## What each ingredient is worth: make ablate DATA=folder ARGS='--minutes 8 --seeds 0' (hours; goes on where it was stopped)
	"$(BIN)/python" benchmarks/ablate.py "$(DATA)" --out ablations $(ARGS)

clean: ## Remove the virtual environment and what the demo wrote
	rm -rf "$(VENV)" demo
