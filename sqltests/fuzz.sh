#!/usr/bin/env bash
# Runs every fuzz target of the repository for the time given, one after another.
set -euo pipefail
time=${1:-5s}
cd "$(dirname "$0")/.."
targets=0
while IFS=: read -r file target; do
  echo "fuzz $(dirname "$file") $target"
  go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x >/tmp/arbor-fuzz.txt 2>&1 || { cat /tmp/arbor-fuzz.txt; exit 1; }
  targets=$((targets + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -o 'func Fuzz[A-Za-z0-9_]*' | sed 's/func //')
[ "$targets" -gt 0 ] || { echo "no fuzz target found"; exit 1; }
echo "$targets fuzz targets ran $time each"
