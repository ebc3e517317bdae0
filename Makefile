# berth: `make help` lists what there is to make.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
# Node 24 and the tools that package-lock.json pins, whatever the machine has.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help setup types native build lint format test unit-test root-test daemon-test demo critest critest-soak crictl-transcript bench bench-start bench-pull power-cut test-cgroup2 clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 16

setup: ## check the machine, install what is missing, bring the test tools and images along
	@./setup.sh

types: setup
	@[ proto/gen/cri.ts -nt proto/api.proto -a proto/gen/cri.ts -nt proto/generate.sh -a proto/gen/cri.ts -nt proto/admin.proto -a proto/gen/cri.ts -nt proto/shim.proto ] || sh proto/generate.sh
	@tsc -b

native: setup ## the addon and the static launcher
	@$(MAKE) --no-print-directory native-binaries

build: types native ## compile everything
	@$(MAKE) --no-print-directory test-programs

lint: setup ## check format and code
	biome format .
	oxlint --type-aware --deny-warnings .

format: setup ## format everything
	biome format --write .

test: build ## everything: lint, C tests with sanitizers, unit, root and whole-daemon tests
	@node build/critest/run-tests.js

unit-test: build ## only the tests that need no root
	@node build/critest/run-tests.js unit

root-test: build ## only the tests of rooms that need root and a kernel
	@node build/critest/run-tests.js root

daemon-test: build ## only the tests of the whole daemon
	@node build/critest/run-tests.js daemon

demo: build ## a real pod of two containers, run by crictl through the daemon, then removed
	@node build/critest/demo.js

critest: build ## the CRI conformance suite against a fresh daemon, over SPDY and WebSocket (ARGS: --transport, --handler, --parallel, --seed, flags for critest)
	@node build/critest/conformance/run.js $(ARGS)

critest-soak: build ## the suite in 20 random orders, serially and four at a time, for an hour (ARGS: --seeds, --from)
	@node build/critest/conformance/soak.js $(ARGS)

crictl-transcript: build ## docs/crictl.md anew, from a run against a fresh daemon
	@node build/critest/crictl/record.js

bench: build ## pod and container operations: medians over 100 cycles, memory per pod
	@node build/critest/bench/cycle.js $(ARGS)

bench-start: build ## start of a container natively against crun run and runc run of the same one, in turn (ARGS: --rounds, --save)
	@critest/bench/client/build.sh
	@node build/critest/bench/start.js $(ARGS)

bench-pull: build ## pulls of a 300 MB image against containerd in the same run, which is built for it (ARGS: --rounds, --rows, --save)
	@critest/bench/peers/build.sh
	@node build/critest/bench/pull.js $(ARGS)

power-cut: build ## power cuts under a daemon's feet, 200 of them, on a disk of the test's own (ARGS: --seed, --cuts, --cut, --keep, --from)
	@critest/crash/power-cut/alone.sh node build/critest/crash/power-cut/run.js $(ARGS)

test-cgroup2: build ## tests and critest in VMs with cgroup v2 alone, for hours (ARGS: phases, see critest/vm/phases.ts)
	@critest/vm/setup.sh
	@$(MAKE) --no-print-directory native-test >/dev/null
	@node build/critest/vm/run.js $(ARGS)

clean: ## remove what was built; tools and image files in .cache stay
	rm -rf build proto/gen

# The rules of native/*.mk; `native-binaries` is what `make native` runs once the machine is set up.
include native/*.mk
# The tests' own programs.
include critest/crash/power-disk/power-disk.mk
include critest/security/programs/programs.mk
.PHONY: native-binaries
native-binaries: build/native/berth.node build/native/berth-launcher
