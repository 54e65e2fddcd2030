SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help lock

UV_VERSION := 0.13.9
UV := .local/uv/bin/uv
PYTHON := .venv/bin/python
SAM := .local/sam/bin/sam
export SAM_CLI_TELEMETRY := 0

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Environments: made on first use, made again when their lock changes -------------------------

$(UV):
	@echo "Installing uv $(UV_VERSION) into .local/uv"
	@python3 -m venv .local/uv && .local/uv/bin/python -m pip install --quiet uv==$(UV_VERSION)

define environment
	@echo "Installing $< into $(1)"
	@$(UV) venv --quiet --clear --python 3.13 $(1)
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python $(1)/bin/python $<
	@touch $@
endef

.venv/.ready: requirements-dev.txt | $(UV)
	$(call environment,.venv)
.local/sam/.ready: local/requirements-sam.txt | $(UV)
	$(call environment,.local/sam)
.local/emulator/.ready: local/requirements-emulator.txt | $(UV)
	$(call environment,.local/emulator)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links pyproject.toml
lock: | $(UV) ## Compile pyproject.toml into the lock files (UPGRADE=--upgrade for newer releases)
	$(COMPILE) $(UPGRADE) --group deploy -o layers/deps/requirements.txt
	$(COMPILE) $(UPGRADE) --group dev -c layers/deps/requirements.txt -o requirements-dev.txt
	$(COMPILE) $(UPGRADE) --group sam -o local/requirements-sam.txt
	$(COMPILE) $(UPGRADE) --group emulator -o local/requirements-emulator.txt
