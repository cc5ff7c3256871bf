# Two commands do everything: "make run" and "make test".

BIN     := bin/sijill
DIR     ?= ./var
FUZZ    ?= 60s
GO      ?= go
ASSETS  := internal/view/assets/htmx.min.js

.PHONY: run build test tools check bench fuzz clean

# run makes the demo office under ./var, if there is none, and serves it.
run: build
	$(BIN) demo --dir $(DIR)

build: $(ASSETS)
	$(GO) build -trimpath -o $(BIN) ./cmd/sijill

# Fonts and scripts of the pages come from npm. Without npm the server has
# system fonts and plain pages, and works.
$(ASSETS): package.json package-lock.json
	@if command -v npm >/dev/null; then npm ci --no-audit --no-fund --ignore-scripts && node front/copy.mjs; \
	else echo "npm is missing: pages will have system fonts and no niceties"; fi

# test installs what the tests need where it may, and runs everything.
test: tools $(ASSETS)
	$(GO) vet ./...
	$(GO) test -count=1 -timeout 30m ./...
	cd internal/interop && $(GO) test -count=1 ./...

tools:
	@sh dist/test-tools.sh

check: $(ASSETS)
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "gofmt the files above"; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	-$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

# fuzz runs every fuzz target for FUZZ.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "== $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ) -fuzzminimizetime 10x $$pkg || exit 1; \
	  done; done

bench: build
	sh bench/run.sh $(BIN)

clean:
	rm -rf bin
