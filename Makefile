# Everything sets up what is missing first. A Python of one's own choice: make setup PYTHON=/path/to/python3.12
#
#   make setup      .venv with the command and all that the tests need
#   make demo       draws a data set, makes its atlas, and names the page to open
#   make test       the fast tests; make test-slow: the rest
#   make test-oldest the tests of models on the lowest versions that pyproject.toml allows, with Python 3.11
#   make test-peers our maps beside those of tf-keras-vis, tf-explain, SHAP, LIME and Quantus, which it installs
#   make notebooks  runs the notebooks and keeps what they give
#   make described  what is written from the code: the README's table of methods, configs/schema.json
#   make lint       style, format and types
#   make docs       the site of the documentation, build/docs/index.html; strict
#   make bench      side by side with the machine's limit; BENCH="extract run" chooses
#   make lock       resolves the dependencies anew (needs uv)

VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.set-up
PEERS  := $(VENV)/peers
OLDEST := $(VENV)/oldest
LINKED := $(VENV)/linked
CONFIG ?= configs/demo.yaml
PYTEST ?=
BENCH  ?= extract attribution render reduce

# The newest supported Python that is found and works (a version manager's shim may be there and not).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo "$$p" && break; done)

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: setup demo test test-slow test-oldest test-peers notebooks described linked lint docs bench lock clean
.DELETE_ON_ERROR:

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "setup: no Python 3.11, 3.12 or 3.13 found; install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 2; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "setup: $(PYTHON) is not Python 3.11, 3.12 or 3.13; name one: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "setup: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@echo "setup: $(VENV) with $$("$(PYTHON)" --version), a few minutes the first time"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)
	@$(BIN)/activation-atlas run $(CONFIG)

test: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow" --ignore=tests/peers -n 2 --dist loadfile $(PYTEST)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow --durations=10 --ignore=tests/peers -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

# A folder of its own beside the environment, which stays as it is: nothing else can come to lean on these libraries.
# Their lock holds what requirements.lock does not; wheels for Python 3.11, 3.12 and 3.13; passes on 3.11 and 3.13.
$(PEERS)/.installed: tests/peers/requirements.lock $(STAMP)
	@rm -rf $(PEERS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--target $(PEERS) -r tests/peers/requirements.lock
	@touch $@

test-peers: $(PEERS)/.installed
	PYTHONPATH=$(abspath $(PEERS)) $(BIN)/python -m pytest -q --disable-warnings tests/peers $(PYTEST)

# An environment of its own. Python 3.11: the oldest versions have no wheels for the newest Python.
PYTHON311 ?= python3.11
$(OLDEST)/.installed: tests/oldest/requirements.lock
	@"$(PYTHON311)" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
		echo "test-oldest: $(PYTHON311) is not Python 3.11 with venv; name one: make test-oldest PYTHON311=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON311)" -m venv --clear $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/oldest/requirements.lock
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Left out is what computes long and touches Keras where the others do.
test-oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/python -m pytest -q -m "not slow" --disable-warnings tests/stages/vision \
		$(addprefix --ignore=tests/stages/vision/test_,half.py forward_mode.py blocks.py images.py levels.py) $(PYTEST)

notebooks: $(STAMP)
	$(BIN)/python -m tests.notebooks

described: $(STAMP)
	$(BIN)/python -m activation_atlas.stages.methods README.md
	$(BIN)/activation-atlas schema > configs/schema.json.new && mv configs/schema.json.new configs/schema.json

# Links put the folders where pyproject.toml maps them to, for what knows a module by its place: mypy and the reference.
linked:
	@rm -rf $(LINKED) && mkdir -p $(LINKED)/activation_atlas
	@ln -s $(foreach path,$(wildcard pipeline/api/*) pipeline stages configs,"$(abspath $(path))") $(LINKED)/activation_atlas/

lint: $(STAMP) linked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=$(abspath $(LINKED)) $(BIN)/mypy --cache-dir $(VENV)/.mypy

# The theme says in each build that it is looking for a successor to MkDocs.
docs: $(STAMP) linked
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=$(abspath $(LINKED)) $(BIN)/python -m mkdocs build --strict --quiet

bench: $(STAMP)
	@for what in $(BENCH); do $(BIN)/python -m benchmarks $$what || exit $$?; done

RESOLVE = uv pip compile --no-config --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --upgrade \
	--no-emit-index-url --no-annotate --no-header

# The second lock is what the peers need on top of the first, at the versions of the first, and no opencv-python, which is
# opencv-python-headless with windows; the third has the lowest
# version of whatever pyproject.toml names, and what runs the tests.
lock:
	$(RESOLVE) --extra dev pyproject.toml -o requirements.lock
	$(RESOLVE) --extra peers -c requirements.lock pyproject.toml -o tests/peers/requirements.lock \
		--no-emit-package opencv-python \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements.lock)
	$(RESOLVE) --resolution lowest-direct pyproject.toml tests/oldest/requirements.in -o tests/oldest/requirements.lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
