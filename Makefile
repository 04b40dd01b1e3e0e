# Every target sets up what it needs; `make help` lists them.
#
# On Linux without a GPU, TORCH_INDEX=<address> installs the CPU build of torch: the address is
# PyTorch's CPU index, given on its own installation page. PIP_ARGS is handed on to pip.

VENV := .venv
BIN := $(VENV)/bin
SOURCES := config labeling training tests bench manage.py
ARGS ?=
WORKERS ?= 2
TORCH_INDEX ?=
PIP_ARGS ?=

# The stamps carry the content of the requirement files: unchanged files mean nothing to do.
key = $(shell cat $(1) | cksum | cut -d' ' -f1)
RUNTIME := $(VENV)/.runtime-$(call key,requirements.txt constraints.txt)
DEVELOPMENT := $(VENV)/.development-$(call key,requirements.txt requirements-dev.txt constraints.txt)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --prefer-binary \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(PIP_ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo demo-reset serve admin test test-slow check check-steps format \
	bench-loop bench-rounds bench-methods bench-labels bench-train bench-oasst bench-web bench-annotator \
	bench-estimate clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(RUNTIME) ## Start everything with demo data; Ctrl-C stops it, a second start keeps the data
	@exec $(BIN)/python -m config.supervisor demo

demo-reset: $(RUNTIME) ## Delete all data of this checkout, then start the demo afresh
	@$(BIN)/python -m config.supervisor reset
	@exec $(BIN)/python -m config.supervisor demo

serve: $(RUNTIME) ## Start everything without demo data (PREFLOOP_BIND=host:port, DATABASE_URL, ...)
	@exec $(BIN)/python -m config.supervisor serve

admin: $(RUNTIME) ## Make a site admin's account, asking name and password; `make serve` must run
	@$(BIN)/python manage.py createsuperuser

test: $(DEVELOPMENT) ## Run the tests but for the slow ones (ARGS="-k name" goes to pytest)
	@$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile $(ARGS)

test-slow: $(DEVELOPMENT) ## Run the long fault and method matrices
	@$(BIN)/python -m pytest -m slow $(ARGS)

check: $(DEVELOPMENT) ## Check format, lint, types, import rules, settings and migrations
	@$(BIN)/python -m config.embedded_postgres throwaway $(MAKE) --no-print-directory check-steps

check-steps:
	@echo "== ruff format" && $(BIN)/ruff format --check .
	@echo "== ruff check" && $(BIN)/ruff check .
	@echo "== mypy" && $(BIN)/mypy $(SOURCES)
	@echo "== import rules" && $(BIN)/lint-imports
	@echo "== manage.py check" && $(BIN)/python manage.py check
	@echo "== makemigrations --check" && $(BIN)/python manage.py makemigrations --check --dry-run

messages: $(DEVELOPMENT) ## Bring the translations in locale/ up to date (needs GNU gettext)
	@for tool in xgettext msgmerge msgfmt; do \
		command -v $$tool >/dev/null || { \
			echo "$$tool is missing: install the package gettext of this machine." >&2; exit 1; }; \
	done
	@$(BIN)/python manage.py makemessages --all --add-location file --no-obsolete --no-wrap \
		-i var -i tests -i bench -i docs
	@$(BIN)/python manage.py compilemessages -i .venv -i var
	@$(BIN)/python -m pytest -q tests/locale/test_catalogue.py

format: $(DEVELOPMENT) ## Format the code and apply the safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench-loop: $(RUNTIME) ## Measure one turn of the loop on the demo world, three seeds
	@$(BIN)/python -m bench.loop $(ARGS)

bench-rounds: $(RUNTIME) ## Turn three rounds on the demo world, three seeds: do they help?
	@$(BIN)/python -m bench.rounds $(ARGS)

bench-methods: $(RUNTIME) ## Compare the methods by gold and KL, three seeds (ARGS=--tune: their numbers)
	@$(BIN)/python -m bench.methods $(ARGS)

bench-labels: $(RUNTIME) ## Measure how many labels each way of choosing what is asked needs
	@$(BIN)/python -m bench.labels $(ARGS)

bench-train: $(RUNTIME) ## Measure the trainers beside bare TRL scripts
	@$(BIN)/python -m bench.train $(ARGS)

bench-oasst: $(RUNTIME) ## Train and test a reward model on real human rankings
	@$(BIN)/python -m bench.oasst $(ARGS)

bench-web: $(RUNTIME) ## Measure ranking over HTTP beside a bare view
	@$(BIN)/python -m bench.web $(ARGS)

bench-annotator: $(DEVELOPMENT) ## Measure the ranking page in Chromium on real comparisons
	@$(BIN)/python -m bench.annotator $(ARGS)

bench-estimate: $(RUNTIME) ## Measure how far the estimates of memory and time are from two real runs
	@$(BIN)/python -m bench.estimate $(ARGS)

setup: $(RUNTIME) ## Install what the application needs into .venv

setup-dev: $(DEVELOPMENT) ## Install what tests and checks need besides

clean: ## Delete .venv and the caches; data stays (demo-reset deletes that)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage htmlcov

$(BIN)/python:
	@for python in python3.11 python3.12 python3.13 python3; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "== making $(VENV) with $$($$python --version)"; \
			$$python -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); \
			echo "Python can't make a virtual environment: install its package 'venv'" \
				"(python3-venv on Debian and Ubuntu)." >&2; \
			exit 1; \
		fi; \
	done; \
	echo "Python 3.11 or later is needed: install it, so that python3.11 or python3 is found." >&2; \
	exit 1

$(RUNTIME): | $(BIN)/python
	@echo "== installing requirements.txt (the first time takes minutes: torch is large)"
	@$(PIP) -r requirements.txt
	@rm -f $(VENV)/.runtime-* && touch $@

$(DEVELOPMENT): | $(BIN)/python
	@echo "== installing requirements-dev.txt (the first time takes minutes: torch is large)"
	@$(PIP) -r requirements-dev.txt
	@rm -f $(VENV)/.runtime-* $(VENV)/.development-* && touch $@ $(RUNTIME)
