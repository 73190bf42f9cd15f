# make demo: set everything up and make a data cube of an embedded galaxy.   make test: style, types and tests.
# Needs Python >= 3.11, make and git. PYTHON=python3.13 chooses the interpreter; uv is used where it is on the PATH.

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV ?= .venv-$(VERSION)
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
ifdef UV
MAKE_VENV = $(UV) venv --quiet --clear --python "$(PYTHON)" $(VENV)
INSTALL_FREE = $(UV) pip install --quiet --python $(BIN)/python
INSTALL = $(INSTALL_FREE) -c requirements.lock
else
MAKE_VENV = $(PYTHON) -m venv --clear $(VENV)
INSTALL_FREE = $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL = $(INSTALL_FREE) -c requirements.lock
endif
OUT ?= outputs/demo

# Fast tests that run once more with types and shapes of every annotated call checked; left out are those that pass
# wrong arrays on purpose, and those of functions that say JAX and take NumPy too.
TYPED := tests/test_imf.py tests/test_interpolation.py tests/test_units.py tests/test_halo_hermite.py \
  -k "not air_ and not stretch_is and not needs_matching and not a_library_that and not recycling_can"

.PHONY: demo test cubeviz lock clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/python experiments/simulate.py output=$(OUT) overwrite=true
	@echo "The pictures are $(OUT)/maps.png, spectra.png and history.png, the data cube is $(OUT)/cube.fits."

# One thread each, because the tests run in parallel already: with more they wait for each other. What the first run of
# tests compiles serves the second one too.
test: export OMP_NUM_THREADS := 1
test: export OPENBLAS_NUM_THREADS := 1
test: export JAX_PLATFORMS := cpu
test: export MPLBACKEND := Agg
test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@programs=$$(mktemp -d) && trap 'rm -rf "$$programs"' EXIT INT TERM && export JAX_COMPILATION_CACHE_DIR="$$programs" && \
	set -x && $(BIN)/python -m pytest -n 2 --dist loadfile && \
	GALDIFF_TYPECHECK=1 $(BIN)/python -m pytest -q -n 2 $(TYPED)

# Opens a cube in jdaviz, which is large, in an environment of its own: the test must run, not be passed over.
cubeviz: VENV := .venv-$(VERSION)-cubeviz
cubeviz: export JAX_PLATFORMS := cpu
cubeviz: export MPLBACKEND := Agg
cubeviz:
	$(MAKE) --no-print-directory VENV=$(VENV) $(VENV)/.installed-cubeviz
	$(VENV)/bin/python -c "import jdaviz"
	$(VENV)/bin/python -m pytest -rs tests/test_cubeviz.py

$(VENV)/.installed-cubeviz: $(VENV)/pyvenv.cfg pyproject.toml requirements.lock
	$(INSTALL_FREE) -e '.[test]' jdaviz
	@touch $@

$(VENV)/pyvenv.cfg:
	@test -n "$(VERSION)" || { echo "no Python >= 3.11 found; install one, or name it: make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is Python $(VERSION); 3.11 or newer is needed: make PYTHON=/path/to/python" >&2; exit 2; }
	$(MAKE_VENV)

$(VENV)/.installed: $(VENV)/pyvenv.cfg pyproject.toml requirements.lock
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/pyvenv.cfg pyproject.toml requirements.lock
	$(INSTALL) -e '.[test,inference]'
	@touch $@ $(VENV)/.installed

# Versions of everything for every Python the project supports; needs uv.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra test --extra inference --upgrade \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv-* dist build outputs multirun .pytest_cache .mypy_cache .ruff_cache .hypothesis
