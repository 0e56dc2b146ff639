# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.
# Any Python >= 3.11 that works is found; `make PYTHON=/path/to/python run` picks one.
# `make run ARGS="--seed 7"` and `make test ARGS="-k lease"` pass arguments on.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3.13 python3.12 python3.11 python3 python
ROOTS := src protocol simulator hil

# Tests start Python some hundred times. Where nothing compiled may be kept, each start compiles everything anew:
# half a second of one.
unexport PYTHONDONTWRITEBYTECODE

# The stamps carry a checksum of everything an installation depends on: where the tree lies (an editable
# installation points there), what to install, and which Python was asked for, if any was. Stamps of an environment
# whose Python has gone are void.
SUM := $(shell { pwd; cat pyproject.toml constraints.txt; } | cksum | cut -d' ' -f1; \
	[ -x $(BIN)/python ] || rm -f $(VENV)/.user-* $(VENV)/.dev-*)
ifdef PYTHON
SUM := $(SUM)-$(shell echo "$(PYTHON)" | cksum | cut -d' ' -f1)
endif
USER_STAMP := $(or $(wildcard $(VENV)/.user-$(SUM)*),$(VENV)/.user-$(SUM))
DEV_STAMP := $(or $(wildcard $(VENV)/.dev-$(SUM)*),$(VENV)/.dev-$(SUM))

.DEFAULT_GOAL := help
.PHONY: run test assure check format bench peers validate generated scoreboard picture screenshots site sizes dose sbom audit lock clean help

run: $(USER_STAMP) ## three freeze/thaw cycles on the built-in simulator; no hardware, no file
	@$(BIN)/cryoctl run $(ARGS)

test: $(DEV_STAMP) ## the whole test suite
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

assure: $(DEV_STAMP) ## every assurance program, hours of it: SCALE=0.1 for a tenth, PROGRAMS="reach frames" for some
	@$(BIN)/cryoctl assure --scale $(or $(SCALE),1) --out docs/assurance $(PROGRAMS)
ifndef PROGRAMS
	@TRIALS=$(or $(TRIALS),100) PATIENTS=$(or $(PATIENTS),200) $(BIN)/python -m pytest -s -m assure $(ARGS)
endif

check: $(DEV_STAMP) ## style, types (Windows, too), import rules, spelling, generated files
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 $(ROOTS)
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m cryoctl_protocol.generate --check
	$(BIN)/cryoctl trace --check
	$(BIN)/python -m cryoctl_hil.fault_pages --check

format: $(DEV_STAMP) ## rewrite the code in the project's layout
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV_STAMP) ## speed, time over every link, fleets, campaigns, growth, memory; 12 min, BENCH_MINUTES=10 for a whole treatment
	@BENCH_MINUTES=$(or $(BENCH_MINUTES),1) $(BIN)/python -m cryoctl_hil.bench $(ARGS)

peers: $(DEV_STAMP) ## ours beside Lewis, tickit, caproto, pymavlink, construct, in .peers/; 4 min, page in docs/reference
	@$(BIN)/python -m cryoctl_hil.peers $(ARGS)

validate: $(DEV_STAMP) ## physics against exact solutions and published data; 1 min, page in runs/
	@$(BIN)/cryoctl validate --out runs/validation $(ARGS)

generated: $(DEV_STAMP) scoreboard ## tables of SPEC.md, C headers, golden vectors, dissector, sizes of the C library, other pages
	@$(BIN)/python -m cryoctl_protocol.generate
	@$(BIN)/python -m cryoctl_simulator.firmware_layout
	@$(BIN)/python -m cryoctl_hil.fault_pages
	@$(BIN)/python -m cryoctl_hil.firmware_size --page docs/how-to/write-your-own-firmware-protocol.md
	@$(BIN)/python -m cryoctl_hil.defects.page
	@$(BIN)/cryoctl trace --page docs/reference/traceability.md

scoreboard: $(DEV_STAMP) ## the page of what the assurance programs have measured, from docs/assurance
	@$(BIN)/cryoctl assure --out docs/assurance --scoreboard docs/reference/scoreboard.md

sizes: $(DEV_STAMP) ## flash and RAM of the C library; flash, stack and longest tick of the firmware
	@$(BIN)/python -m cryoctl_hil.firmware_size
	@$(BIN)/python -m cryoctl_simulator.emulated.measure

dose: $(DEV_STAMP) ## holds by time and by dose in 200 simulated patients, and their picture; 6 min, PATIENTS=20 for fewer
	@PATIENTS=$(or $(PATIENTS),200) $(BIN)/python -m cryoctl_hil.dose_study docs/images/dose.svg

picture: $(DEV_STAMP) ## the picture of a cycle in README.md
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
		&& $(BIN)/cryoctl run --seed 1 --out "$$folder/run" >/dev/null \
		&& $(BIN)/cryoctl report "$$folder/run/run.mcap" --picture docs/images/cycle.svg

screenshots: $(DEV_STAMP) ## the pictures of the dashboard in the documents; needs an installed Chromium
	@$(BIN)/python -m tests.support.screenshots docs/images

site: $(DEV_STAMP) ## the documents as pages in build/site; a link that leads nowhere is an error
	@$(BIN)/sphinx-build -q -W --keep-going -c docs/site . build/site
	@echo "build/site/index.html"

sbom: $(DEV_STAMP) ## sbom.json: what an installation is made of (CycloneDX), with versions and licences
	@$(BIN)/python -m cryoctl_hil.sbom $(ARGS)

audit: $(DEV_STAMP) ## known holes in what constraints.txt pins; asks a service on the network, so no part of CI
	@$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off $(ARGS) || { \
		echo "cryoctl: a hole above, or the service could not be asked: then nothing is known" >&2; exit 1; }

lock: $(DEV_STAMP) ## choose new versions for constraints.txt
	@$(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 \
		--all-extras --no-header --no-annotate --output-file constraints.txt pyproject.toml

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) .peers .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find $(ROOTS) tests -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

# Prints the interpreter to use. A candidate is believed when it runs, not when it exists: a version manager may
# leave a command that only says which versions it knows.
define FIND_PYTHON
new='import sys; sys.exit(sys.version_info < (3, 11))'; \
for candidate in $(if $(PYTHON),"$(PYTHON)",$(PYTHONS)); do \
	if "$$candidate" -c "$$new" 2>/dev/null; then echo "$$candidate"; exit 0; fi; \
done; \
if [ -z "$(PYTHON)" ]; then \
	echo "cryoctl: no working Python 3.11 or newer among: $(PYTHONS)." >&2; \
	echo "cryoctl: install one, or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; \
elif version=$$("$(PYTHON)" -c 'import platform; print(platform.python_version())' 2>/dev/null); then \
	echo "cryoctl: needs Python 3.11 or newer, but PYTHON=$(PYTHON) is $$version." >&2; \
else \
	echo "cryoctl: PYTHON=$(PYTHON) does not run; give the path of a Python 3.11 or newer." >&2; \
fi; \
exit 2
endef

# uv is quick; where it cannot be had or cannot run, pip does the same slowly. Both obey constraints.txt.
define INSTALL
echo "cryoctl: installing into $(VENV), once (10 to 30 s)"; \
{ $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv \
	&& $(BIN)/python -m uv pip install -q --python $(BIN)/python -c constraints.txt -e '$(1)'; } \
|| { echo "cryoctl: uv did not manage, pip tries" >&2; \
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '$(1)'; }
endef

# An environment is made anew when anything in SUM has changed: nothing of an older one stays behind.
$(USER_STAMP):
	@python=$$($(FIND_PYTHON)) || exit 2; \
	"$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "cryoctl: $$python has no working 'venv' (Debian, Ubuntu: apt install python3-venv)" >&2; exit 2; }
	@$(call INSTALL,.)
	@touch $@

$(DEV_STAMP): $(USER_STAMP)
	@$(call INSTALL,.[dev])
	@touch $@
