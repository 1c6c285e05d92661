#!/usr/bin/env bash
# Runs every fuzz target of the repository for the time given, two at a time. A package's
# targets share one binary, since linking it takes longer than a short run. The fuzzer is
# guided by what our packages do: -fuzz would compile all that they use with counters too,
# a thousand packages, which takes longer than all targets together.
set -euo pipefail
time=${1:-5s}
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(go env GOCACHE)/fuzz

# run fuzzes the target $2 of the package in directory $1.
run() {
  local binary=$work/${1##*/}.test log=$work/${1//\//_}.$2.txt
  (cd "$1" && "$binary" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$time" -test.fuzzminimizetime 1x -test.parallel 1 \
    -test.fuzzcachedir "$cache/arbor/$1/$2" >"$log" 2>&1)
}

# ended_late says that no input failed: Go's fuzzer was still at work when its time was
# up, which it reports as a failure of the target. It then runs once more.
ended_late() {
  local log=$work/${1//\//_}.$2.txt
  grep -qx ' *context deadline exceeded' "$log" && ! grep -q 'Failing input\|panic\|fuzz_test.go' "$log"
}

# fuzz runs one target and says what came of it.
fuzz() {
  run "$1" "$2" || { ended_late "$1" "$2" && run "$1" "$2"; } || { cat "$work/${1//\//_}.$2.txt"; return 1; }
  grep -q '^fuzz: elapsed.*execs' "$work/${1//\//_}.$2.txt" || { echo "$1 $2 did not run"; return 1; }
  grep -q '^fuzz: .*baseline coverage' "$work/${1//\//_}.$2.txt" || { echo "$1 $2 ran without counters"; return 1; }
  echo "fuzz $1 $2"
}

git ls-files -co --exclude-standard '*_test.go' | xargs grep -o 'func Fuzz[A-Za-z0-9_]*' |
  while IFS=: read -r file target; do echo "$(dirname "$file") ${target#func }"; done | sort >"$work/targets"
targets=$(wc -l <"$work/targets")
[ "$targets" -gt 0 ] || { echo "no fuzz target found"; exit 1; }
export -f run ended_late fuzz
export work time cache
mapfile -t packages < <(cut -d' ' -f1 "$work/targets" | uniq)
GOGC=300 go test -c -vet off -ldflags '-s -w' -gcflags 'arbor/...=-d=libfuzzer' -o "$work/" "${packages[@]/#/./}"
xargs -P 2 -L 1 bash -c 'fuzz "$0" "$1" || exit 255' <"$work/targets"
echo "$targets fuzz targets ran $time each"
