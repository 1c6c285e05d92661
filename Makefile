# Arbor's commands. The build tags and CGO_ENABLED are set here so that nobody
# types them: gms_pure_go takes the SQL library's regular expressions from Go
# instead of from a C library, so that the build needs no C compiler, and
# disable_grpc_modules leaves out how Google's storage is reached from within
# Google's network by gRPC: 150 packages of a thousand.
export GOFLAGS      := -tags=gms_pure_go,disable_grpc_modules
export CGO_ENABLED  := 0

# -mod=readonly is Go's default; a change of dependencies is a change of go.mod.
FUZZTIME  ?= 3s
HISTORIES ?= 10000
FAULTS    ?= 1000
MIXED     ?= 1h
BENCH     ?= .
COUNT     ?= 5

.PHONY: all build demo cluster demo-cluster deploy-rehearsal test lint unit race fuzz torture bench clients rewrite deps clean ci

all: build test

build: bin/arbor

.PHONY: bin/arbor
bin/arbor:
	GOGC=300 go build -o $@ .

# demo builds, starts a server in a fresh directory, sends it a stream full of
# duplicates and compares SQL's answers with the truth.
demo: build
	./bin/arbor demo

# cluster runs three members on this machine until Ctrl-C, and says how to connect.
cluster: build
	./bin/arbor cluster

# demo-cluster kills one of three members while events come in, and compares counts.
demo-cluster: build
	./bin/arbor cluster --demo

# deploy-rehearsal takes three local members from the binary OLD to NEW, one after the other,
# compares everything each time, and stages and promotes a version of the indexer. Without
# OLD and NEW both are this tree's; EVENTS and DURING say how much and how long.
deploy-rehearsal: build
	OLD=$(OLD) NEW=$(NEW) EVENTS=$${EVENTS:-6000} DURING=$${DURING:-1m} runbooks/deploy.sh

# test is what must pass: it installs what it needs and runs everything.
test: deps lint build unit race fuzz
	@echo "all tests passed"

# deps installs the clients that the tests use, where they are missing.
deps:
	./sqltests/clients/install.sh

lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	GOGC=300 go vet ./...
	GOGC=300 go tool staticcheck ./...
	@if GOFLAGS= go build -o /dev/null . 2>/tmp/arbor-notag.txt; then echo "a build without the tag must fail"; exit 1; fi
	@grep -q gms_pure_go /tmp/arbor-notag.txt

# Vet is lint's, and the linker, but not the tests, collects garbage less often: it takes
# little more memory and 5 s of a processor instead of 9, for each of fifty test programs.
LEAN := -vet off -toolexec 'env GOGC=300'

# Three packages at a time on two cores: some wait for clocks and disks, and some have one
# thread. Those that take longest begin first, so that no core waits for one of them at the
# end.
LONGEST := ./sqltests/torture ./sqltests/whole ./cluster/protocol ./sqltests/clients ./sqltests ./engine/indexfile \
	./sqltests/faults ./gateway ./engine ./cluster/replication ./sqltests/members ./cluster/member

unit:
	go test -p 3 $(LEAN) -timeout 30m $(LONGEST) ./...

# race runs what is concurrent under the race detector, which needs cgo: the packages that
# start goroutines or have locks (raced_test.go sees to it), in short mode, which leaves out
# what one goroutine does alone.
RACED := ./sqltests/torture ./gateway ./engine ./engine/exec ./engine/indexfile ./engine/appendlog ./engine/vfs \
	./cluster ./cluster/consensus ./cluster/gossip ./cluster/member ./cluster/peer ./cluster/raftlog ./cluster/replication \
	./gateway/audit ./gateway/siphon ./backup ./catalog ./pace

race:
	CGO_ENABLED=1 go test -p 3 $(LEAN) -race -short -timeout 30m $(RACED)

# fuzz runs every fuzz target for FUZZTIME.
fuzz:
	./sqltests/fuzz.sh $(FUZZTIME)

# torture is the long form of what test runs briefly.
torture:
	go test ./cluster/protocol -run 'Simulation' -timeout 8h -count 1 -args -seeds=$(HISTORIES)
	go test ./cluster/replication -run Once -timeout 8h -count 1 -args -rounds=$(FAULTS)
	go test ./sqltests -run 'TestSQL/.*rebalancing' -timeout 1h -count 1 -args -move-every=4 -mixed-turn=-1
	go test ./sqltests/members -run Once -timeout 8h -count 1 -args -rounds=$(FAULTS)
	go test ./sqltests/faults -timeout 24h -count 1 -v -args -rounds=$(FAULTS)
	go test ./sqltests/torture -timeout 8h -count 1 -args -histories=$(HISTORIES)
	go test . -run Stopped -timeout 2h -count 1 -args -stopall
	go test ./sqltests/whole -run KilledAnywhere -timeout 2h -count 1 -v -args -killevery=15ms
	go test ./sqltests/load -run MixedLoad -timeout 3h -count 1 -v -args -duration=$(MIXED) -events=0

bench:
	go test ./... -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT)

# rewrite makes the golden files anew; read the difference like code.
rewrite:
	go test ./catalog ./cluster/... ./engine/... ./gateway/... ./sqltests/... -run 'Golden|Data|Logic' -args -rewrite

# clients runs the clients and writes the tables of what came of it: docs/clients.md and docs/bi.md.
clients: deps
	go test ./sqltests/clients -run MySQLClients -count 1 -args -rewrite
	go test ./sqltests -run ToolsAsMariaDB -count 1 -args -rewrite

ci: test
	@test -z "$$(git status --porcelain)" || { git status --short; exit 1; }

clean:
	rm -rf bin
