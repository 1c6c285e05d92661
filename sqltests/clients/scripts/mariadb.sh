#!/usr/bin/env bash
# Dumps, imports and checks with MariaDB's command lines.
#
#   mariadb.sh HOST PORT DATABASE
set -euo pipefail
host=$1 port=$2 database=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
with=(--no-defaults -h "$host" -P "$port" -u root)
mariadb --version | sed 's/.*Distrib \([0-9]*\.[0-9]*\).*/\1/'
ask() { mariadb "${with[@]}" -N -B "$database" -e "$1"; }
ask "INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES
  ('buy', '2026-01-02 03:04:05.678', 'ann', 'a', 9007199254740993, 'pro ü😀'), ('buy', '2026-01-02', 'bob', 'b', -1, NULL), ('buy', '2026-01-02', 'bob', 'b', -1, NULL)"
mariadb-dump "${with[@]}" --single-transaction --no-create-info --complete-insert --skip-disable-keys "$database" events >"$dir/dump.sql"
grep "INSERT INTO \`events\`" "$dir/dump.sql" >/dev/null
mariadb "${with[@]}" "$database" <"$dir/dump.sql" # what is there already counts once
[ "$(ask 'SELECT COUNT(*), SUM(amount), SUM(plan IS NULL) FROM events')" = $'2\t9007199254740992\t1' ]
printf 'pay\t2026-01-03 00:00:00\tcarl\tc\t5\n' >"$dir/events.txt"
mariadb-import "${with[@]}" --local --columns=event,time,distinct_id,insert_id,amount "$database" "$dir/events.txt" >/dev/null
[ "$(ask "SELECT amount FROM events WHERE event = 'pay'")" = 5 ]
mariadb-check "${with[@]}" "$database" events | grep 'OK$' >/dev/null
mariadb-show "${with[@]}" "$database" | grep events_all >/dev/null
mariadb-admin "${with[@]}" ping | grep alive >/dev/null
