SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

UV_VERSION := 0.13.9
UV := .local/uv/bin/uv
PYTHON := .venv/bin/python
SAM := .local/sam/bin/sam
export SAM_CLI_TELEMETRY := 0
ifdef REGION
export AWS_REGION := $(REGION)
endif
ifdef PROFILE
export AWS_PROFILE := $(PROFILE)
endif

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- The local stack -----------------------------------------------------------------------------

LOCAL := PYTHONPATH=layers/common $(PYTHON) -m
# Ends with the line to type where one of these variables, $(1), is not given.
ask = $(foreach name,$(1),$(if $($(name)),,$(error Say for what, as in: make $@ $(2))))
BUILD_ENVIRONMENTS := .venv/.ready .local/sam/.ready

build: $(BUILD_ENVIRONMENTS) ## Build the artefacts for this machine, or for ARCH=arm64|x86_64
	@$(LOCAL) local.build $(if $(ARCH),--architecture $(ARCH))

up: $(BUILD_ENVIRONMENTS) .local/emulator/.ready ## Start the local stack or update it: PARAMETERS="BrandName=Acme ..." CONNECTORS="att=file.py" PORT=4600
	@$(LOCAL) local.stack up $(if $(PORT),--port $(PORT)) $(if $(EMULATOR_PORT),--emulator-port $(EMULATOR_PORT)) \
		$(if $(CONNECTORS),--connectors "$(CONNECTORS)")

down: .venv/.ready ## Stop the local stack
	@$(LOCAL) local.stack down

logs: .venv/.ready ## Follow the logs of the local stack's functions: LINK=link_... FUNCTION=RunSessionFunction
	@$(LOCAL) local.stack logs $(if $(LINK),--link $(LINK)) $(if $(filter-out file,$(origin FUNCTION)),--function $(FUNCTION))

# An option for a variable that was given in the command, if only to be empty; its value comes by the environment.
option = $(if $(findstring command,$(origin $(1))),$(2) "$$$(1)")

key: .venv/.ready ## Create an API key: ACCOUNT=acme MODE=test|live LABEL= EXPIRES=90d SCOPES=links:read,... RATE= BURST=, on AWS with STACK=name
	@$(call ask,ACCOUNT MODE,ACCOUNT=acme MODE=test)$(LOCAL) local.keys $(if $(STACK),--stack $(STACK)) create $(ACCOUNT) $(MODE) \
		$(call option,LABEL,--label) $(call option,EXPIRES,--expires) $(call option,SCOPES,--scopes) $(call option,RATE,--rate) $(call option,BURST,--burst)

keys: .venv/.ready ## List an account's API keys: ACCOUNT=acme, on AWS with STACK=name
	@$(call ask,ACCOUNT,ACCOUNT=acme)$(LOCAL) local.keys $(if $(STACK),--stack $(STACK)) list $(ACCOUNT)

revoke-key: .venv/.ready ## Revoke an API key: KEY=lk_..., or its last four characters and ACCOUNT=acme, on AWS with STACK=name
	@$(call ask,KEY,KEY=lk_test_...)$(LOCAL) local.keys $(if $(STACK),--stack $(STACK)) revoke $(KEY) $(if $(ACCOUNT),--account $(ACCOUNT))

account: .venv/.ready ## Show or set where events of links without a webhookUrl go: ACCOUNT=acme WEBHOOK_URL=https://..., empty for nowhere, on AWS with STACK=name
	@$(call ask,ACCOUNT,ACCOUNT=acme)$(LOCAL) local.accounts $(if $(STACK),--stack $(STACK)) $(ACCOUNT) $(call option,WEBHOOK_URL,--webhook-url)

link: .venv/.ready ## Print all that is known of a link: ID=link_..., on AWS with STACK=name
	@$(call ask,ID,ID=link_...)$(LOCAL) local.story $(if $(STACK),--stack $(STACK)) $(ID)

audit: .venv/.ready ## Print who made, canceled, erased, rotated and revoked what: SINCE=7d, on AWS with STACK=name
	@$(LOCAL) local.audit $(if $(STACK),--stack $(STACK)) $(if $(SINCE),--since $(SINCE))

FUNCTION ?= CreateLinkFunction
EVENT ?= events/create_link.json
invoke: .venv/.ready .local/sam/.ready ## Run a built function in a container: FUNCTION=CreateLinkFunction EVENT=...
	@$(LOCAL) local.invoke $(FUNCTION) $(EVENT)

connector: .venv/.ready ## Write the beginnings of a connector: NAME=voltly
	@$(call ask,NAME,NAME=voltly)$(LOCAL) local.new_connector $(NAME)
	@$(MAKE) --no-print-directory schemas

conformance: .venv/.ready ## Try a connector: CONNECTOR=file.py|function INTEGRATION=tmobile INPUT=inputs.json SUBMIT=yes
	@$(call ask,CONNECTOR,CONNECTOR=connectors/voltly.py INTEGRATION=voltly)$(LOCAL) local.conformance $(CONNECTOR) $(if $(INTEGRATION),--integration $(INTEGRATION)) \
		$(if $(INPUT),--input $(INPUT)) $(if $(STACK),--stack $(STACK)) $(if $(SUBMIT),--submit)

play: .venv/.ready ## Play a connector in the terminal, as its user would: CONNECTOR=file.py INTEGRATION=tmobile
	@$(call ask,CONNECTOR,CONNECTOR=connectors/voltly.py INTEGRATION=voltly)$(LOCAL) local.play $(CONNECTOR) $(if $(INTEGRATION),--integration $(INTEGRATION))

# --- Checks --------------------------------------------------------------------------------------

check: .venv/.ready ## Fast checks: lint, types, unit tests
	@.venv/bin/ruff check --quiet . && .venv/bin/ruff format --quiet --check .
	@.venv/bin/mypy --no-error-summary
	@.venv/bin/mypy --no-error-summary --python-version 3.10 connectors/kit clients/python
	@PYTHONPATH=.:layers/common .venv/bin/lint-imports --no-cache --no-logo > .local/imports || (cat .local/imports; false)
	@$(PYTHON) -m pytest -q tests/unit tests/client

# The browser that tries the link's page. Whoever may install packages gets it, all others are told.
chromium:
	@command -v chromium google-chrome > /dev/null || if [[ $$(id -u) = 0 ]] && command -v apt-get > /dev/null; then \
		echo "Installing Chromium"; apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium > /dev/null; \
	else echo "There is no Chromium here: install its package chromium, or the link's page is not tried"; fi

TYPESCRIPT := $(if $(shell command -v npm),.local/typescript/.ready)
test: $(TYPESCRIPT) check build .local/emulator/.ready .local/clients/.ready chromium ## Everything: check, handlers over moto, the template, a deployed stack of its own
	@AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint > /dev/null
	@$(PYTHON) -m pytest -q tests/connectors -k "not browser"
	@$(PYTHON) -m pytest -q tests/integration tests/e2e

screenshots: build .local/emulator/.ready chromium ## Picture the link's page in each state into .local/screenshots
	@$(LOCAL) tests.e2e.screenshots

clients: .venv/.ready .local/clients/.ready $(TYPESCRIPT) ## Make clients of openapi.json, compile them, run them against the local stack
	@$(LOCAL) tests.clients.run

schemas: .venv/.ready ## Write schemas and openapi.json anew from the models, and the client's sync half from its async one
	@$(LOCAL) schemas
	@$(PYTHON) clients/python/unasync.py

ZENSICAL := .local/zensical/bin/zensical
docs: .venv/.ready .local/zensical/.ready ## Build the documentation's site into .local/site/html
	@PYTHONPATH=layers/common:clients/python $(PYTHON) -m local.site
	@$(ZENSICAL) build --strict -f .local/site/mkdocs.yml

docs-serve: docs ## Show the documentation's site at http://localhost:8000
	@$(ZENSICAL) serve -f .local/site/mkdocs.yml

mutants: .venv/.ready ## Plant small faults, one at a time, and print those that no test notices
	@$(LOCAL) tests.mutants

PEERS := floor fastapi_mangum powertools
bench: build .local/bench/runtime/.ready $(PEERS:%=.local/bench/%/.ready) ## Compare speed and memory with a bare handler and two frameworks
	@$(LOCAL) bench.run

added: .venv/.ready ## What a session adds to its connector's own time, on the local stack with CONNECTORS
	@$(LOCAL) bench.added

WEIGHED := latchkey_client stripe svix
weigh: .venv/.ready $(WEIGHED:%=.local/bench/%/.ready) ## Import time, memory and size of the Python client beside two others
	@$(LOCAL) bench.clients

weigh-web: .venv/.ready ## Size, requests and time to ready of the script for web pages, on the local stack
	@$(LOCAL) bench.web

load: .venv/.ready ## Create and read links on the local stack at rising concurrency
	@$(LOCAL) bench.load

costs: .venv/.ready ## What links cost on AWS, which quotas bite, what memory pays
	@$(LOCAL) bench.costs

due: .venv/.ready ## How late sweep runs with ten million links pending
	@$(LOCAL) bench.due

fairness: .venv/.ready ## Time one account's events beside another's to a receiver that hangs, on the local stack
	@$(LOCAL) bench.fairness

# --- AWS -----------------------------------------------------------------------------------------

deploy: $(BUILD_ENVIRONMENTS) ## Deploy to AWS: PARAMETERS="BrandName=Acme ..." STACK= REGION= PROFILE= ARCH= CONFIRM=no
	@$(LOCAL) local.deploy $(if $(STACK),--stack $(STACK)) $(if $(ARCH),--architecture $(ARCH)) \
		$(if $(filter no,$(CONFIRM)),--no-confirm)

smoke: .venv/.ready ## Try a deployed stack, with a key of its own: STACK=latchkey, else the local stack
	@$(LOCAL) local.smoke $(if $(STACK),--stack $(STACK))

protect: .venv/.ready ## Let nobody delete a deployed stack, its table or its key: STACK=latchkey
	@$(LOCAL) local.recover --stack $(or $(STACK),latchkey) protect

restore: .venv/.ready ## Put back what the table has lost since a time: STACK=latchkey AT=2026-11-26T10:00:00Z
	@$(if $(AT),,echo 'Since when? make restore STACK=$(or $(STACK),latchkey) AT=2026-11-26T10:00:00Z' >&2; exit 1)
	@$(LOCAL) local.recover --stack $(or $(STACK),latchkey) restore $(AT)

adopt: .venv/.ready ## Make a stack of a table and a key that another left: STACK=latchkey TABLE=name KEY=id
	@$(if $(and $(TABLE),$(KEY)),,echo 'Which? make adopt STACK=$(or $(STACK),latchkey) TABLE=name KEY=id' >&2; exit 1)
	@$(LOCAL) local.recover --stack $(or $(STACK),latchkey) adopt $(TABLE) $(KEY)

# --- Environments: made on first use, made again when their lock changes -------------------------

$(UV):
	@echo "Installing uv $(UV_VERSION) into .local/uv"
	@python3 -m venv .local/uv && .local/uv/bin/python -m pip install --quiet uv==$(UV_VERSION) || { \
		echo "The tools come from a package index: this needs the network the first time" >&2; false; }

define environment
	@echo "Installing $< into $(1)"
	@$(UV) venv --quiet --clear --python 3.13 $(1)
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python $(1)/bin/python $<
	$(2)
	@touch $@
endef

# With the command latchkey, as it stands in clients/python.
.venv/.ready: requirements-dev.txt clients/python/pyproject.toml | $(UV)
	$(call environment,.venv,@$(UV) pip install --quiet --offline --no-deps --no-build-isolation --python .venv/bin/python -e clients/python)
.local/sam/.ready: local/requirements-sam.txt | $(UV)
	$(call environment,.local/sam)
.local/emulator/.ready: local/requirements-emulator.txt | $(UV)
	$(call environment,.local/emulator)
.local/clients/.ready: local/requirements-clients.txt | $(UV)
	$(call environment,.local/clients)
.local/typescript/.ready: tests/clients/package.json tests/clients/package-lock.json
	@echo "Installing tests/clients/package-lock.json into $(@D)"
	@mkdir -p $(@D) && cp $^ $(@D) && npm ci --silent --no-audit --no-fund --ignore-scripts --prefix $(@D) && touch $@
.local/zensical/.ready: local/requirements-site.txt | $(UV)
	$(call environment,.local/zensical)
.local/bench/runtime/.ready: bench/requirements-runtime.txt | $(UV)
	$(call environment,.local/bench/runtime)
.local/bench/%/.ready: bench/peers/%/requirements.txt | $(UV)
	$(call environment,.local/bench/$*)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links
lock: | $(UV) ## Compile pyproject.toml into the lock files (UPGRADE=--upgrade for newer releases)
	$(COMPILE) $(UPGRADE) pyproject.toml --group deploy -o layers/deps/requirements.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group dev -c layers/deps/requirements.txt -o requirements-dev.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group sam -o local/requirements-sam.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group emulator -o local/requirements-emulator.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group clients -o local/requirements-clients.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group site -o local/requirements-site.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group runtime -o bench/requirements-runtime.txt
	for peer in $(PEERS) $(WEIGHED); do $(COMPILE) $(UPGRADE) -c layers/deps/requirements.txt \
		bench/peers/$$peer/requirements.in -o bench/peers/$$peer/requirements.txt; done
