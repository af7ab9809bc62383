# make demo   install into .venv, measure the demo preset, print its tables, write report.md
# make test   install into .venv, run the tests
# make check  format, lint, types, import contracts, then the tests
#
# PYTHON      the interpreter to build .venv with (3.11 or later)
# TORCH       the torch to install, such as TORCH=torch==2.9.1, instead of the one chosen below

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# What PyPI serves for torch is built for CUDA 13 since 2.11, which needs driver 580, and for CUDA 12 from 2.1 to
# 2.10, which needs driver 525. A torch that the system (no virtual environment, whose packages .venv would not see)
# already runs on the GPU is kept.
TORCH_CURRENT := torch==2.13.0
TORCH_CUDA12 := torch==2.10.0

has_system_torch = import sys, torch; sys.exit(sys.prefix != sys.base_prefix or not torch.cuda.is_available())
choose_torch = \
	driver=$$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | sed -n '1s/^\([0-9]*\)\..*/\1/p'); \
	if [ -n "$(TORCH)" ]; then echo "$(TORCH)"; \
	elif [ -z "$$driver" ]; then echo $(TORCH_CURRENT); \
	elif $(PYTHON) -c '$(has_system_torch)' 2>/dev/null; then echo system; \
	elif [ "$$driver" -ge 580 ]; then echo $(TORCH_CURRENT); \
	elif [ "$$driver" -ge 525 ]; then echo $(TORCH_CUDA12); \
	else echo "NVIDIA driver $$driver is too old for torch's CUDA 12 builds (525 and later): update it, or name a torch with TORCH=" >&2; exit 1; fi

.PHONY: help demo test check torch clean FORCE

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: .venv/.runtime
	@.venv/bin/sdtui run demo; status=$$?; [ $$status -eq 2 ] || \
	{ .venv/bin/sdtui report last -o report.md && echo "wrote report.md" >&2; } && exit $$status

test: .venv/.dev
	.venv/bin/python -m pytest -n 2 --dist loadfile

check: .venv/.dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/mypy --python-version 3.10 -p sdtui.model -p sdtui.worker
	.venv/bin/lint-imports
	@$(MAKE) test

torch:
	@$(choose_torch)

clean:
	rm -rf .venv dist

.venv/.torch: $(if $(TORCH),FORCE)
	@test -n "$(PYTHON)" || { echo "sdtui needs Python 3.11 or later: name one with PYTHON=" >&2; exit 1; }
	@torch=$$($(choose_torch)) || exit 1; set -e; \
	if [ "$$torch" = system ]; then echo "making .venv beside the system's torch"; \
	$(PYTHON) -m venv --system-site-packages .venv; \
	else echo "installing $$torch into .venv"; \
	$(PYTHON) -m venv .venv; $(PIP) install -c constraints.txt $$torch; fi
	@touch $@

# constraints.txt pins what CI tests with; beside a torch of the system, the system's packages stay as they are.
PIP = .venv/bin/python -m pip --disable-pip-version-check
constrain = $$(grep -q '^include-system-site-packages = true' .venv/pyvenv.cfg || echo -c constraints.txt)

.venv/.runtime: .venv/.torch pyproject.toml constraints.txt
	@echo "installing sdtui into .venv"; $(PIP) install $(constrain) -e .
	@touch $@

.venv/.dev: .venv/.torch pyproject.toml constraints.txt
	@echo "installing sdtui and what its tests need into .venv"; $(PIP) install $(constrain) -e '.[dev]'
	@touch $@ .venv/.runtime

FORCE:
