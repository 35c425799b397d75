# `make` alone lists what there is to make.

# The owner is the second part of the module path, and stands nowhere else.
MODULE := $(shell sed -n 's/^module //p' go.mod)
OWNER  := $(word 2,$(subst /, ,$(MODULE)))

# A tagged commit is a release; anything else is "edge". A new commit links the
# programs again; a change that is not committed links only what it changes.
VERSION     ?= $(or $(patsubst v%,%,$(shell git describe --tags --exact-match --match 'v*' 2>/dev/null)),edge)
COMMIT      ?= $(shell git rev-parse HEAD 2>/dev/null)
GIT_VERSION ?= $(shell git describe --tags --always --match 'v*' 2>/dev/null)

STAMPED := $(MODULE)/pkg/version
STAMPS  := -X $(STAMPED).version=$(VERSION) -X $(STAMPED).commit=$(COMMIT) -X $(STAMPED).gitVersion=$(GIT_VERSION)
GOBUILD  = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w $(STAMPS)'

HOST      := $(shell go env GOOS)_$(shell go env GOARCH)
EXE       := $(shell go env GOEXE)
PLATFORMS := linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64 windows_arm64

LINT := .cache/bin/golangci-lint
HUGO := .cache/bin/hugo

.DEFAULT_GOAL := help
.PHONY: help deps build payload image test test-kubernetes lint bench demo cross docs site test-site clean daprd controlplane

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install what a bare Debian machine lacks; no network is needed afterwards
	@.ci/deps

build: payload ## bin/dapr (with the other two inside), bin/daprd, bin/controlplane
	$(GOBUILD) -tags payload -o bin/dapr$(EXE) ./cmd/dapr

# The go command skips what is up to date, so these always ask it.
daprd controlplane:
	$(GOBUILD) -o bin/$@$(EXE) ./cmd/$@

payload: daprd controlplane ## pack daprd and controlplane for the CLI to carry
	go run ./embed/pack -version $(VERSION) -out embed/payload/$(HOST) bin/daprd$(EXE) bin/controlplane$(EXE)

image: build ## dist/dapr-image.tar, the runtime's container image (no container engine needed)
	mkdir -p dist
	bin/dapr$(EXE) image save dist/dapr-image.tar

test: ## every test but those that need a cluster, race detector on
	@.ci/deps test
	CGO_ENABLED=1 go test -race -timeout 14m ./...

test-kubernetes: ## the walkthrough on a one-node cluster that is started for it (root)
	@.ci/deps cluster apps
	@$(MAKE) --no-print-directory build
	test/cluster/run.sh sh -c 'test/cluster/smoke.sh && go test -tags kubernetes -count=1 -timeout 24m -v ./test/kubernetes'

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

docs: ## write the generated pages of docs/
	go run ./docs/gen

site: ## the website of docs/, into site/
	@.ci/deps site
	HUGO_PARAMS_REPOSITORY=https://$(MODULE) $(HUGO) --source docs/site --destination ../../site --cleanDestinationDir --noBuildLock --panicOnWarning --quiet

test-site: site ## its links, and how a browser shows it
	go test -tags site -count=1 ./test/site

clean: ## remove what the other targets made, but not the tools
	rm -rf bin dist site .cache/cluster embed/payload/*_*
