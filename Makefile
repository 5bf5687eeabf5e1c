# Clipper. `make run` for a first look, `make test` for everything; README.md tells the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PREFIX ?= /usr/local
DESTDIR ?=
PROGRAMS := clipper clipperd clipper-runtime clipper-registry
SWIFT_BUILD := swift build -c release --static-swift-stdlib

.PHONY: build run stop test unit-test integration-test lint bench install uninstall clean deps test-deps

build: deps
	@scripts/build

# What building and running needs, from Debian's packages; quick when all is there.
deps:
	@scripts/install-packages build

test-deps:
	@scripts/install-packages test

run: build
	@scripts/run-example

stop:
	@scripts/stop-example

test: test-deps build
	@scripts/test

unit-test: build
	@scripts/unit-test

integration-test: test-deps build
	@python3 -m pytest -q tests/integration

lint:
	@scripts/lint

bench: build
	@scripts/install-packages bench
	@scripts/bench

install: build
	@scripts/install "$(DESTDIR)" "$(PREFIX)"

uninstall:
	@scripts/install --remove "$(DESTDIR)" "$(PREFIX)"

clean:
	swift package clean
	rm -rf bin .build
