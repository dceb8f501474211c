# `make demo` and `make test` set up everything they need. The only prerequisites are Python 3.11+ and a C++17 compiler.
PYTHON ?= python3
VENV   ?= .venv
# Installed first if torch is missing: a looser pin pulls in gigabytes of CUDA. For a GPU: make setup TORCH='torch>=2.9'
TORCH  ?= torch==2.13.0
RESULTS ?= demo-results
PIP    := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
RUN    := $(VENV)/bin/deep3dmap
SOURCES := $(shell git ls-files -co --exclude-standard platform methods benchmarks cluster dashboard csrc 2>/dev/null) pyproject.toml
# The package is built once; this wheel is installed, linted and tested.
BUILT  := $(VENV)/.wheel
WHEEL  := $$(echo $(BUILT)/deep3dmap-*.whl)

.PHONY: setup setup-test demo test test-slow gpu faults fuzz chaos train-quick weights kernels dashboard lint clean

setup: $(VENV)/.installed

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -c "import torch" 2>/dev/null || $(PIP) '$(TORCH)'
	touch $@

$(BUILT): $(VENV)/.torch $(SOURCES)
	rm -rf $@
	$(VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $@ .
	touch $@

# Without --force-reinstall, pip would skip a wheel whose version is already installed.
$(VENV)/.installed: $(BUILT)
	$(PIP) --force-reinstall --no-deps "$(WHEEL)"
	$(PIP) "$(WHEEL)"
	touch $@

# pyrender pins a PyOpenGL version without the OSMesa calls it needs, so a newer one is installed over it.
$(VENV)/.test-tools: $(VENV)/.installed
	$(PIP) "$(WHEEL)[test,pyrender]"
	$(PIP) --no-deps 'PyOpenGL==3.1.10'
	touch $@

setup-test: $(VENV)/.test-tools

demo: setup
	$(RUN) benchmark suites=[indoor,face,body,object,object_unposed,outdoor,generation,generation_control] tier=smoke results=$(RESULTS) --resume
	$(RUN) benchmark suite=shape tier=smoke results=$(RESULTS) --resume

# Tests run against the installed package, not the checkout. They spend much time waiting for Ray, servers and a browser, so three
# parts run in parallel, one core each; the fourth starts when one has finished. All tests that use Ray in their own process are
# in RAYS, where they share one instance.
PYTEST := $(VENV)/bin/python -m pytest -m "not slow and not gpu"
VERBS  := tests/cli
RAYS   := $(addprefix tests/,docs faults testing train tune)
UNITS  := $(addprefix tests/,config core frameworks fuzz geometry golden methods metrics nn ops render results)
OTHERS := $(filter-out $(VERBS) $(RAYS) $(UNITS) %/__pycache__ tests/support,$(patsubst %/,%,$(wildcard tests/*/)) $(wildcard tests/test_*.py))
test: setup-test
	@OMP_NUM_THREADS=1 $(VENV)/bin/python tests/side_by_side.py 3 $(foreach part,VERBS RAYS UNITS OTHERS,'$(PYTEST) $($(part))')

test-slow: setup-test
	$(VENV)/bin/python -m pytest tests -m "slow"

# Needs a GPU and nvcc. Runs the tests marked gpu, compares every op with the CPU and its time with torch's, and trains through
# the command line; each part has a time limit. Set up with a CUDA build of torch: make gpu TORCH='torch>=2.9'
gpu: setup-test
	$(PIP) -C cmake.define.DEEP3DMAP_CUDA=ON .
	$(VENV)/bin/python -m pytest tests -m "gpu"
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.gpu

# Failing workers, nodes, drivers and disks, on clusters on the loopback interface.
faults: setup-test
	$(VENV)/bin/python -m pytest tests/faults

# Random calls of the ops, with kernels built with sanitizers, and damaged files for every reader: see docs/faults.md.
FUZZ_CALLS ?= 1000000
FUZZ_FILES ?= 20000
SANITIZED := build/sanitized
fuzz: setup-test
	$(PIP) nanobind cmake ninja
	cmake -S csrc -B $(SANITIZED) -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDEEP3DMAP_SANITIZE=ON \
	  -DPython_EXECUTABLE=$(abspath $(VENV))/bin/python -Dnanobind_DIR=$$($(VENV)/bin/python -m nanobind --cmake_dir)
	cmake --build $(SANITIZED)
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=1024 UBSAN_OPTIONS=print_stacktrace=1 \
	LD_PRELOAD="$$(for name in libasan.so libubsan.so libstdc++.so.6; do $(CXX) -print-file-name=$$name; done | tr '\n' ' ')" \
	  $(VENV)/bin/python tests/fuzz/run.py ops --count $(FUZZ_CALLS) --native $$(ls $(abspath $(SANITIZED))/_native*.so)
	$(VENV)/bin/python tests/fuzz/run.py readers --count $(FUZZ_FILES)

train-quick: setup
	$(RUN) benchmark suite=face tier=quick seeds=3 untrained=true --resume
	$(RUN) benchmark suite=indoor tier=quick seeds=3 --resume
	$(RUN) benchmark suite=body tier=quick seeds=3 untrained=true --resume

# Retrains the bundled weights on the procedural datasets: ten minutes each on one large GPU and a dozen cores. Interrupted
# training resumes. Compare the new weights with the old ones before replacing them.
WEIGHTS ?= weights
FACES_LIMIT := children, hats, hard shadows, profiles beyond 70 degrees; identity and fine shape; not for medical or legal use
ROOMS_LIMIT := outdoors, large halls, bare walls, glass and mirrors; rooms unlike furnished ones of about 5 m; not for measuring
weights: setup
	mkdir -p $(WEIGHTS)
	$(RUN) train method=prnet/standard dataset=heads/many results=$(WEIGHTS)/store --resume --json >$(WEIGHTS)/prnet.json
	$(RUN) train method=neuralrecon/standard dataset=rooms/many results=$(WEIGHTS)/store --resume --json >$(WEIGHTS)/neuralrecon.json
	$(RUN) export "$$($(call checkpoint_of,prnet))" -o $(WEIGHTS)/prnet not_good_for='$(FACES_LIMIT)'
	$(RUN) export "$$($(call checkpoint_of,neuralrecon))" -o $(WEIGHTS)/neuralrecon not_good_for='$(ROOMS_LIMIT)'
	@echo "weights are in $(WEIGHTS): copy shipped.pth and shipped.json of each method into methods/prnet and methods/neuralrecon, then run make setup"
checkpoint_of = $(VENV)/bin/python -c "import json; print(json.load(open('$(WEIGHTS)/$(1).json'))['checkpoint'])"

kernels: setup-test
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.tsdf
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.rasterize
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.rasterize_soft
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.sparse_conv
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.back_project
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.neighbour_search
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.train_overhead
	$(VENV)/bin/python -m deep3dmap.benchmarks.kernels.ray_scale --quick

# Kills writers, drivers, compaction and merging at random and checks that nothing is lost. Up to 15 minutes; prints a table.
chaos: setup
	$(VENV)/bin/python -m deep3dmap.benchmarks.store.chaos

dashboard: setup
	$(RUN) dashboard results=$(RESULTS)

# mypy silently skips the mapped folders of an editable install, so it checks an unpacked regular install.
lint: setup-test
	$(PIP) "$(WHEEL)[lint]"
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	rm -rf build/lint && $(PIP) --no-deps --no-compile --target build/lint "$(WHEEL)"
	cd build/lint && $(abspath $(VENV))/bin/mypy --config-file $(CURDIR)/pyproject.toml deep3dmap
	cd build/lint && $(abspath $(VENV))/bin/lint-imports --config $(CURDIR)/pyproject.toml

clean:
	rm -rf $(VENV) build dist $(RESULTS) .pytest_cache .mypy_cache .ruff_cache
