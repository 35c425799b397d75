# `make` alone lists what there is to make.

# The owner is the second part of the module path, and stands nowhere else.
MODULE := $(shell sed -n 's/^module //p' go.mod)
OWNER  := $(word 2,$(subst /, ,$(MODULE)))

# A tagged commit is a release; anything else is "edge". A new commit links the
# programs again; a change that is not committed links only what it changes.
VERSION     ?= $(or $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v*' 2>/dev/null)),edge)
COMMIT      ?= $(shell git rev-parse HEAD 2>/dev/null)
COMMIT_TIME ?= $(shell git log -1 --format=%cI 2>/dev/null)
GIT_VERSION ?= $(shell git describe --tags --always --abbrev=12 --match 'v*' 2>/dev/null)

STAMPED := $(MODULE)/pkg/version
STAMPS  := -X $(STAMPED).version=$(VERSION) -X $(STAMPED).commit=$(COMMIT) -X $(STAMPED).gitVersion=$(GIT_VERSION)
GOBUILD  = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w $(STAMPS)'

# The CLI as it is built now, for what the build itself does with it.
CLI      = CGO_ENABLED=0 go run -trimpath -buildvcs=false -ldflags '-s -w $(STAMPS)' ./cmd/dapr

HOST      := $(shell go env GOOS)_$(shell go env GOARCH)
EXE       := $(shell go env GOEXE)
PLATFORMS := linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64 windows_arm64

LINT := .cache/bin/golangci-lint
HUGO := .cache/bin/hugo

COMMA := ,
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)

# A package's version begins with a number, which "edge" does not.
RELEASE := $(or $(filter-out edge,$(VERSION)),0.0.0-edge.g$(shell printf %.12s $(COMMIT)))
# What a release is made for. TARGET=linux_amd64 makes a dry run quick: of one
# platform, whose CLI can make the image for its own kind of processor only.
TARGETS  := $(or $(TARGET),$(PLATFORMS))
PAYLOADS := $(sort $(TARGETS) $(TARGET:%=linux_$(lastword $(subst _, ,$(TARGET)))))
# The packages that have nothing for one platform's system.
SKIP_linux   := winget,scoop
SKIP_darwin  := winget,scoop,nfpm
SKIP_windows := homebrew,nfpm

.DEFAULT_GOAL := help
.PHONY: help deps build payload image test test-release test-kubernetes lint bench demo cross docs clean daprd controlplane test-windows release release-snapshot release-parts goreleaser site test-site

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what a bare Debian machine lacks; no network is needed afterwards
	@.ci/deps

build: payload ## bin/dapr (with the other two inside), bin/daprd, bin/controlplane
	$(GOBUILD) -tags payload -o bin/dapr$(EXE) ./cmd/dapr

# The go command skips what is up to date, so these always ask it.
daprd controlplane:
	$(GOBUILD) -o bin/$@$(EXE) ./cmd/$@

# A CLI for another system carries programs for Linux as well, to make images of.
payload: daprd controlplane $(if $(HOST:linux_%=),payload-linux_$(lastword $(subst _, ,$(HOST)))) ## pack daprd and controlplane for the CLI to carry
	go run ./embed/pack -version $(VERSION) -out embed/payload/$(HOST) bin/daprd$(EXE) bin/controlplane$(EXE)

payload-%: programs-%
	go run ./embed/pack -version $(VERSION) -out embed/payload/$* $$(ls -d bin/$*/daprd* bin/$*/controlplane*)

# In folders that "dapr image" finds them in.
programs-%:
	GOOS=$(word 1,$(subst _, ,$*)) GOARCH=$(word 2,$(subst _, ,$*)) $(GOBUILD) -o bin/$*/ ./cmd/daprd ./cmd/controlplane

image: build programs-linux_amd64 programs-linux_arm64 ## dist/dapr-image.tar, the runtime's container image (no container engine needed)
	mkdir -p dist
	bin/dapr$(EXE) image save --bin-dir bin dist/dapr-image.tar

test: ## every test but those that need a cluster, race detector on
	@.ci/deps test
	CGO_ENABLED=1 go test -race -timeout 14m ./...

test-release: ## from a link to a running system: the archives in RELEASE_DIR, or bin/dapr packed as one (root)
	@.ci/deps test
	@[ -n "$(RELEASE_DIR)" ] || $(MAKE) --no-print-directory build
	RELEASE_DIR=$(abspath $(RELEASE_DIR)) go test -tags release -count=1 -timeout 14m -run '^(TestProgram$$|TestFreshMachine)' -v ./test/install

test-kubernetes: ## the walkthrough on a one-node cluster that is started for it (root)
	@.ci/deps cluster apps
	@$(MAKE) --no-print-directory build
	test/cluster/run.sh sh -c 'test/cluster/smoke.sh && go test -tags kubernetes -count=1 -failfast -timeout 24m -v ./test/kubernetes'

test-windows: ## the programs for Windows under wine, on Linux
	@.ci/deps windows
	GOOS=windows GOARCH=amd64 $(GOBUILD) -o dist/windows_amd64/ ./cmd/daprd ./cmd/controlplane
	go run ./embed/pack -version $(VERSION) -out embed/payload/windows_amd64 dist/windows_amd64/daprd.exe dist/windows_amd64/controlplane.exe
	GOOS=windows GOARCH=amd64 $(GOBUILD) -tags payload -o dist/windows_amd64/ ./cmd/dapr
	test/windows/run.sh

lint: ## golangci-lint, shellcheck, and vet for the other platforms
	@.ci/deps lint
	$(LINT) run ./...
	git ls-files -z -- .ci '*.sh' | xargs -0 shellcheck
	.ci/vet-platforms
	cd test/cluster/kubeone && go vet ./knode
	cd test/cluster/testapp && go vet ./...

demo: ## two apps in two languages through their sidecars, no network
	@.ci/deps apps
	@$(MAKE) --no-print-directory build
	test/demo/demo.sh

bench: build ## one table: latency, throughput, CPU and memory beside baselines
	go run ./test/bench

cross: $(PLATFORMS:%=cross-%) ## compile the three programs for all six platforms into dist/

cross-%:
	GOOS=$(word 1,$(subst _, ,$*)) GOARCH=$(word 2,$(subst _, ,$*)) $(GOBUILD) -o dist/$*/ ./cmd/...

# The dry run first: it finds what is wrong before anybody has it.
release: ## publish the tag that is checked out (docs/releasing.md)
	@test $(VERSION) != edge || { echo "no tag is checked out: make one, such as v1.2.3 (docs/releasing.md)" >&2; exit 1; }
	@$(MAKE) --no-print-directory release-snapshot
	@$(MAKE) --no-print-directory goreleaser
	$(CLI) image push ghcr.io/$(OWNER) --bin-dir bin

release-snapshot: ## the dry run of a release into dist/ (of one platform: TARGET=linux_amd64)
	@.ci/deps release
	@$(MAKE) --no-print-directory goreleaser VERSION=$(RELEASE) SNAPSHOT=--snapshot

# One after the other: a manifest lists what is done first at first.
goreleaser:
	@mkdir -p bin
	sed 's/\(targets: &targets\) .*/\1 [$(subst $(SPACE),$(COMMA),$(TARGETS))]/' .goreleaser.yaml >bin/goreleaser.yaml
	PATH="$(CURDIR)/.cache/bin:$$PATH" OWNER=$(OWNER) VERSION=$(VERSION) STAMPS='$(STAMPS)' \
		COMMIT_TIME=$(COMMIT_TIME) SOURCE_DATE_EPOCH=$(shell git log -1 --format=%ct) \
		goreleaser release --clean --parallelism 1 $(SNAPSHOT) --config bin/goreleaser.yaml \
		$(if $(TARGET),--skip $(SKIP_$(firstword $(subst _, ,$(TARGET)))))
	TARGETS='$(TARGETS)' VERSION=$(VERSION) go test -tags release -count=1 -v -run TestRelease ./test/release

# What goreleaser takes beside the programs that it builds itself. What an
# earlier build left must not get into a command line.
release-parts:
	rm -rf bin/share bin/release $(PLATFORMS:%=bin/%) embed/payload/*_*
	$(MAKE) --no-print-directory $(PAYLOADS:%=payload-%)
	go run ./docs/man -version $(VERSION) -date $(firstword $(subst T, ,$(COMMIT_TIME))) -out bin/share
	mkdir -p bin/release
	$(CLI) image save --bin-dir bin bin/release/dapr_image.tar
	go run ./embed/packchart -version $(VERSION) -time $(COMMIT_TIME) -out bin/release/dapr_chart.tgz
	$(if $(wildcard install/install.*),cp $(wildcard install/install.*) bin/release/)

docs: ## write the generated pages of docs/
	go run ./docs/gen

site: ## the website of docs/, into site/
	@.ci/deps site
	HUGO_PARAMS_REPOSITORY=https://$(MODULE) $(HUGO) --source docs/site --destination ../../site --cleanDestinationDir --noBuildLock --panicOnWarning --quiet

test-site: site ## its links, and how a browser shows it
	go test -tags site -count=1 ./test/site

clean: ## remove what the other targets made, but not the tools
	rm -rf bin dist site .cache/cluster embed/payload/*_*
