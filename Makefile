# make up      a cluster on this machine, and the whole program on it; CONTEXT=NAME takes a cluster of yours instead
# make test    every test level
# make check   lint, types, unit and component tests: no cluster, under a minute
# make bench   what a canary step costs, with the sandbox up
# make scale   what many models cost; without a sandbox, by what `make up` has built
# make preview STACK=dev   what `pulumi up` of a stack would do, held against policy/; by the Pulumi that is on PATH
# make down    takes everything away but the cache
PYTHON ?= python3
export PYTHON
ifdef CONTEXT
export SANDBOX_CONTEXT = $(CONTEXT)
endif
RUN = .venv/bin/python -m
# The sandbox builds these with the same settings, so their dependencies are compiled once.
GO_MODULES = sandbox/google sandbox/images/caller sandbox/images/modelserver sandbox/plugins/python sandbox/plugins/kubernetes
BENCHES = bench/no-loss bench/scale bench/step
STACKS = $(sort $(patsubst Pulumi.%.yaml,%,$(wildcard Pulumi.*.yaml)))
GO = CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' go

.PHONY: up down test check static quick-tests go-test bench scale preview known-stack venv

up: venv
	@$(RUN) sandbox up

down: venv
	@$(RUN) sandbox down

test: check go-test
	@$(RUN) sandbox test

check: venv
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line static quick-tests

static:
	@$(RUN) ruff check --quiet . $(BENCHES)
	@$(RUN) ruff format --quiet --check . $(BENCHES)
	@$(RUN) mypy
	@$(RUN) mypy .github/scripts/*.py

quick-tests:
	@$(RUN) pytest -q tests/unit tests/components

go-test: venv
	@for module in $(GO_MODULES); do \
		(cd $$module && test -z "$$(gofmt -l . | tee /dev/stderr)" && $(GO) vet ./... && $(GO) test ./...) || exit 1; \
	done

bench: venv
	@$(RUN) sandbox exec -- bench/step

scale: venv
	@.venv/bin/python bench/scale

preview: known-stack
	@command -v pulumi >/dev/null || { echo 'There is no pulumi on PATH. Run: eval "$$(python3 -m sandbox env)"' >&2; exit 1; }
	@test -e .venv || sandbox/venv.sh
	@pulumi preview --diff --stack '$(STACK)' --policy-pack policy

known-stack:
	$(if $(filter $(STACKS),$(notdir $(STACK))),@:,$(error STACK is $(or $(STACK),missing); \
		the stacks are $(STACKS). Run: make preview STACK=dev))

venv:
	@sandbox/venv.sh
