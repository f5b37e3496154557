# The eBPF workbench. `make` prints what can be made; everything sets up what it needs by itself,
# and does nothing twice.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
PYTEST_ARGS ?=
VMTEST_ARGS ?=
COVERAGE ?= 90
SECONDS ?= 5
# A Python that Debian has in a later release, for the tests of Python frames.
NEXT_PYTHON ?= 3.14

export PYTHON
export PATH := $(PATH):/usr/sbin:/sbin

BPF_SOURCES := $(wildcard bpf/*.bpf.c)
BPF_HEADERS := $(wildcard bpf/*.h)
# Kinds whose stacks are an option are compiled a second time, with stacks.
BPF_WITH_STACKS := $(shell grep -l WB_STACKS bpf/*.bpf.c)
OBJECTS := $(BPF_SOURCES:bpf/%.bpf.c=workbench/objects/%.bpf.o) \
	$(BPF_WITH_STACKS:bpf/%.bpf.c=workbench/objects/%_stacks.bpf.o)
# clang has no multiarch folder of its own for the target bpf: <asm/types.h> is the host's.
MACHINE := $(shell uname -m)
BPF_ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(MACHINE)))
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -Wall -Werror -D__TARGET_ARCH_$(BPF_ARCH) \
	-idirafter /usr/include/$(MACHINE)-linux-gnu

# What is preloaded into commands. It may meet any C library, so it is linked with none, and calls its
# probes by jumps (-foptimize-sibling-calls).
PRELOADS := workbench/objects/libworkbench-memory.so
PRELOAD_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -fPIC -shared -nostdlib -ffreestanding \
	-fno-stack-protector -fno-tree-loop-distribute-patterns -fomit-frame-pointer \
	-foptimize-sibling-calls -fvisibility=hidden -Wl,-z,now -Wl,--build-id \
	$(if $(filter aarch64,$(MACHINE)),-mno-outline-atomics,) -ffile-prefix-map=$(CURDIR)=.

WORKLOAD := workbench/demo/slow-api
WORKLOAD_SOURCES := $(wildcard workbench/demo/*.c)
# Frame pointers everywhere (shrink-wrapping would spare leaf functions theirs) and no tail calls:
# the workload is there to be looked at.
WORKLOAD_CFLAGS := -std=gnu11 -O2 -g -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer \
	-fno-shrink-wrap -fno-optimize-sibling-calls -Wall -Wextra -pthread \
	-ffile-prefix-map=$(CURDIR)=.

# Stamps: the environment for the demo, and the one for tests, which has everything.
VENV_DEMO := $(VENV)/.workbench-demo
VENV_DEV := $(VENV)/.workbench-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test setup packages-demo packages-test packages-bench packages-vm venv-demo \
	venv-dev bpf workload lint format types pytest vmtest bench dataset wheel clean distclean

help: ## Print this list
	@echo "The eBPF workbench. Targets:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) SECONDS=$(SECONDS) PYTEST_ARGS='$(PYTEST_ARGS)'"

# Each step is a make of its own, because a later one may need what an earlier one installs.
# Where the Debian packages cannot be installed, the demo goes on with its recorded session.
demo: ## Capture the bundled workload; leave session, report and notebook in build/demo/
	@if tools/packages.sh demo; then $(MAKE) --no-print-directory bpf workload || exit 1; \
	else echo "Going on without what is missing."; fi
	@$(MAKE) --no-print-directory venv-demo
	@$(BIN)/python -m workbench.demo --seconds $(SECONDS)

test: ## Set up, then check style and types and run all tests with coverage
	@$(MAKE) --no-print-directory setup
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory pytest

# Fetching the next Python and the programs that open our exports waits for the network, as does the
# environment: side by side. The tests say what they leave out without them.
setup: packages-test ## Install what is missing, compile the BPF objects and the workload
	@$(if $(NEXT_PYTHON),tools/debian-python.sh $(NEXT_PYTHON) &) tools/importers.sh & \
		$(MAKE) --no-print-directory venv-dev bpf workload; status=$$?; wait; exit $$status

packages-demo packages-test packages-bench packages-vm: packages-%:
	@tools/packages.sh $*

$(VENV_DEMO): pyproject.toml constraints.txt
	@tools/venv.sh $(VENV) notebook
	@touch $@

$(VENV_DEV): pyproject.toml constraints.txt
	@tools/venv.sh $(VENV) notebook,models,otlp,bench,dev
	@touch $@ $(VENV_DEMO)

venv-demo: $(VENV_DEMO)
	@:

venv-dev: $(VENV_DEV)
	@:

bpf: $(OBJECTS) $(PRELOADS) ## Compile the BPF programs (needs clang, no kernel headers)
	@:

# The debug information that remains is BTF: what CO-RE and the event layouts need.
define COMPILE_BPF
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@.part
	@$(LLVM_STRIP) -g $@.part
	@mv $@.part $@
endef

workbench/objects/%.bpf.o: bpf/%.bpf.c $(BPF_HEADERS) Makefile
	$(COMPILE_BPF)

%_stacks.bpf.o: BPF_CFLAGS += -DWB_STACKS
workbench/objects/%_stacks.bpf.o: bpf/%.bpf.c $(BPF_HEADERS) Makefile
	$(COMPILE_BPF)

workbench/objects/libworkbench-%.so: workbench/preload/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(PRELOAD_CFLAGS) $< -o $@

workload: $(WORKLOAD) ## Compile the bundled workload slow-api
	@:

$(WORKLOAD): $(WORKLOAD_SOURCES) workbench/demo/slow_api.h Makefile
	$(CC) $(WORKLOAD_CFLAGS) $(WORKLOAD_SOURCES) -o $@

lint: $(VENV_DEV) ## Check style: ruff, and shellcheck where it is installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@if command -v shellcheck >/dev/null; then shellcheck tools/*.sh .ci/run; fi

format: $(VENV_DEV) ## Mend style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV_DEV) ## Check types: mypy, strict
	@$(BIN)/mypy

pytest: $(VENV_DEV) bpf workload ## Run the tests alone (PYTEST_ARGS='-k word')
	@tools/tests.sh $(BIN)/python $(COVERAGE) $(PYTEST_ARGS)

vmtest: packages-vm ## Run the tests of tests/vm/guest on stock Debian kernels, under QEMU
	@$(MAKE) --no-print-directory venv-dev bpf workload
	@WORKBENCH_REQUIRE_VM=1 $(BIN)/python -m pytest -q tests/vm/test_trees.py
	@$(BIN)/python -m tests.vm $(VMTEST_ARGS)

bench: packages-bench ## Measure against BCC and bpftrace; print a table, write build/bench/*.json
	@$(MAKE) --no-print-directory venv-dev bpf workload
	@$(BIN)/python -m benches

dataset: $(VENV_DEMO) bpf workload ## Record the sessions in datasets/ anew (needs eBPF)
	@$(BIN)/python -m workbench.demo --dataset datasets/slow-api.wb

wheel: $(VENV_DEV) bpf workload ## Build dist/*.whl with the compiled objects, for this machine type
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@$(BIN)/python -m wheel tags --remove --platform-tag linux_$(MACHINE) dist/*.whl

clean: ## Remove what was built
	rm -rf build dist workbench/objects/*.bpf.o* $(PRELOADS) $(WORKLOAD) .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Remove the virtual environment too
	rm -rf $(VENV)
