# make demo     the demonstration: two paths, one dies, every byte arrives
# make test     everything: style, the fast suite, long transfers, the interop suite against this machine's kernel
# make test-fast  what a change is tried with: below two minutes once it is built
# make fuzz     libFuzzer on the parsers, on one endpoint and on a pair, FUZZ_SECONDS each (an hour), FUZZ=packet for one
# make mutants  breaks one rule of the engine at a time, MUTANTS=name for one, and sees that the suite notices
# make sanitize the fast suite with the address sanitizer and with the thread sanitizer
# make bench    goodput and connection rates beside the kernel's
# make conformance  writes docs/conformance.md: each rule of the specifications with its code and its tests
# make setup    checks Swift; the others see to the Debian packages that they want: installed as root, named otherwise
# make format   rewrites the sources in the project's style; make lint only checks it

SWIFT ?= swift
SOURCES := Package.swift Sources Tests FuzzTesting/Package.swift FuzzTesting/Sources
# A traceback in a pipe helps nobody and takes seconds.
export SWIFT
export SWIFT_BACKTRACE ?= enable=no

.PHONY: demo test test-fast test-long test-conformance test-fuzz test-interop fuzz mutants sanitize tools tools-mptcp \
	tools-mptcp-peer tools-stack-peer bench conformance setup setup-tests setup-bench format lint

# The output is the demonstration's alone: make demo DEMO=--json | jq .
demo:
	@$(MAKE) --no-print-directory setup tools-mptcp >&2
	@.build/release/mptcp demo $(DEMO)

test: setup-tests lint tools test-fast test-long test-conformance test-fuzz test-interop

# The tests that live in real time: beside hundreds that only compute they would wait for a thread for a minute.
TIMED := ^(MPTCPStack|Multipath|Tool)Tests[.]

# Transfers of many megabytes in virtual time, which take as long as all the others together.
LONG := ^MPTCP(Core|Simulator)Tests[.](Coupled|Aggregation|[A-Za-z0-9]*Transfer)Tests/

# Debug, so that assertions, overflow checks and exclusivity checks are on. What a connection costs in memory is measured
# in a process of its own.
test-fast:
	$(SWIFT) build --build-tests
	scripts/suite --skip-build --skip 'InteropTests|$(TIMED)|$(LONG)'
	scripts/suite --skip-build --filter '$(TIMED)'
	MEMORY_TESTS=1 scripts/suite --skip-build --filter MemoryTests

test-long:
	$(SWIFT) build --build-tests
	scripts/suite --skip-build --filter '$(LONG)'

# Short, and the same each time: a suite that looks elsewhere every day fails on days when nothing has changed.
test-fuzz:
	rm -rf FuzzTesting/.build/corpus
	FUZZ_RUNS=$${FUZZ_RUNS:-4000} scripts/fuzz

fuzz:
	FUZZ_SECONDS=$${FUZZ_SECONDS:-3600} scripts/fuzz $(FUZZ)

# In a copy of the sources; each builds and tests anew, so not a part of `make test`.
mutants:
	scripts/mutants $(MUTANTS)

# Each in a build of its own; slow, so not a part of `make test`.
sanitize:
	scripts/sanitize address
	scripts/sanitize thread

# The suite runs the release binaries, as users will.
test-interop: tools
	$(SWIFT) build --build-tests
	scripts/suite --skip-build --no-parallel --filter InteropTests

tools: tools-mptcp tools-mptcp-peer tools-stack-peer

tools-mptcp tools-mptcp-peer tools-stack-peer: tools-%:
	$(SWIFT) build -c release --product $*

# What stands behind each rule of the specifications; fails on a rule with neither a test nor a reason.
conformance:
	$(SWIFT) build --product Conformance
	$$($(SWIFT) build --show-bin-path)/Conformance

# The same without writing: it fails too where the page is not what the annotations say.
test-conformance:
	$(SWIFT) build --product Conformance
	$$($(SWIFT) build --show-bin-path)/Conformance --check

bench: setup-bench tools
	scripts/bench $(BENCH)

setup:
	scripts/setup

setup-tests:
	scripts/setup --tests

setup-bench:
	scripts/setup --bench

format:
	$(SWIFT) format format --in-place --parallel --recursive $(SOURCES)

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SOURCES)
