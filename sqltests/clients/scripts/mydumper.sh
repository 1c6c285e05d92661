#!/usr/bin/env bash
# Dumps with mydumper.
#
#   mydumper.sh HOST PORT DATABASE
set -euo pipefail
host=$1 port=$2 database=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mydumper --version 2>&1 | sed 's/[^0-9]*\([0-9.]*[0-9]\).*/\1/;1q'
mariadb --no-defaults -h "$host" -P "$port" -u root "$database" -e "INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES
  ('buy', '2026-01-02', 'ann', 'a', 9007199254740993, 'pro ü😀'), ('buy', '2026-01-02', 'bob', 'b', -1, NULL)"
mydumper -h "$host" -P "$port" -u root -p '' -B "$database" -T events -o "$dir/out" --no-schemas --trx-consistency-only -v 0
grep 9007199254740993 "$dir/out/$database.events.sql" >/dev/null
