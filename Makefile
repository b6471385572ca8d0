# Each target is lines that can be typed by hand. `make help` lists them.
export CGO_ENABLED ?= 0
GO            ?= go
GOLANGCI_LINT ?= $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME      ?= 30s
CHAOS_TIME    ?= 5m
CHAOS_NODES   ?= 3
CHAOS_SEED    ?= 0
CHAOS_FLAGS   ?= -election 2s -strict
SAMPLE_DEPS    = examples/logging-ts/node_modules/.package-lock.json
AZURE_DEPS     = e2e/azure/js/node_modules/.package-lock.json

.PHONY: help build portal portal-story run sandbox test unit race lint fmt fuzz bench bench-managed e2e chaos ccf-suites generate setup tidy clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 14

build: generate portal ## all binaries into bin/
	$(GO) build -trimpath -o bin/ ./cmd/... ./examples/...

portal: ## the browser portal into internal/portal/dist (nothing to do if up to date); without Node.js it is left out
	@if command -v node >/dev/null; then node portal/build.mjs; else echo "no Node.js: the portal is left out" >&2; fi

run: build ## a managed service with its portal, gone again with Ctrl-C
	bin/synod server --temp

sandbox: build $(SAMPLE_DEPS) ## an open service with the TypeScript sample on https://127.0.0.1:8000
	bin/synod sandbox --app examples/logging-ts

test: unit e2e lint ## everything that CI runs

unit: generate portal $(SAMPLE_DEPS) ## unit tests
	$(GO) vet ./...
	$(GO) test ./...
	npm --prefix portal test

race: generate ## unit tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./...

lint: generate ## the rules of .golangci.yml
	$(GOLANGCI_LINT) run --allow-parallel-runners

fmt: ## format the code as lint wants it
	$(GOLANGCI_LINT) fmt

fuzz: generate ## every fuzz target for FUZZTIME
	tools/fuzz $(FUZZTIME)

bench: build ## figures beside their goals
	tools/bench

bench-managed: build ## the managed service with 100 networks: its API's times, what it costs at rest
	$(GO) test ./internal/arm -run '^$$' -bench HundredNetworks -benchtime 5000x
	$(GO) test -tags e2e -count=1 -timeout 30m -v -run TestManyNetworks ./e2e/azure -args -networks 100

e2e: build setup $(SAMPLE_DEPS) $(AZURE_DEPS) ## real binaries, judged by CCF's own Python package and Azure's SDKs
	$(GO) test -tags e2e -count=1 -timeout 30m ./e2e/... ./internal/snapshot ./internal/sim

portal-story: build ## the whole story of the portal in Chromium (a few minutes); SHOTS=DIR keeps screenshots
	PORTAL_WHOLE=1 $(GO) test -tags e2e -count=1 -timeout 15m -v -run 'TestPortal$$' ./e2e/portal

chaos: build setup ## CHAOS_NODES processes under faults for CHAOS_TIME; CHAOS_SEED to repeat
	$(GO) test -tags e2e -count=1 -timeout 30m -timeout 0 -v -run TestChaos ./e2e/chaos -args \
	  -time $(CHAOS_TIME) -nodes $(CHAOS_NODES) -seed $(CHAOS_SEED) $(CHAOS_FLAGS)

ccf-suites: build ## CCF's own suites on our binaries; needs CCF_TREE=<a checkout of CCF>
	e2e/ccf/run

generate: ## the JavaScript engine, translated to Go (under a second if up to date)
	$(GO) run ./tools/js-engine

setup: ## .venv with CCF's Python package, for e2e
	tools/python/setup

$(SAMPLE_DEPS): examples/logging-ts/package-lock.json
	npm --prefix examples/logging-ts ci --no-audit --no-fund

$(AZURE_DEPS): e2e/azure/js/package-lock.json
	npm --prefix e2e/azure/js ci --no-audit --no-fund

tidy: ## rewrite what is made from the code: docs/limits.md, depguard rules
	$(GO) test -run TestTidy -update .

clean: ## remove what make has made
	rm -rf bin .venv .cache workspace
