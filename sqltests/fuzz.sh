#!/usr/bin/env bash
# Runs every fuzz target of the repository for the time given, one after another.
set -euo pipefail
time=${1:-5s}
cd "$(dirname "$0")/.."
targets=0

# run fuzzes one target.
run() {
  go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 1x >/tmp/arbor-fuzz.txt 2>&1
}

# ended_late says that no input failed: Go's fuzzer was still at work when its time was
# up, which it reports as a failure of the target. It then runs once more.
ended_late() {
  grep -qx ' *context deadline exceeded' /tmp/arbor-fuzz.txt && ! grep -q 'Failing input\|panic\|fuzz_test.go' /tmp/arbor-fuzz.txt
}

while IFS=: read -r file target; do
  echo "fuzz $(dirname "$file") $target"
  run "./$(dirname "$file")" "$target" || { ended_late && run "./$(dirname "$file")" "$target"; } || { cat /tmp/arbor-fuzz.txt; exit 1; }
  targets=$((targets + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -o 'func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
[ "$targets" -gt 0 ] || { echo "no fuzz target found"; exit 1; }
echo "$targets fuzz targets ran $time each"
