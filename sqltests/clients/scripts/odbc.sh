#!/usr/bin/env bash
# Writes and reads with MariaDB Connector/ODBC, by unixODBC's isql.
#
#   odbc.sh HOST PORT DATABASE
set -euo pipefail
driver=$(ls /usr/lib/*/odbc/libmaodbc.so)
dpkg-query -W -f '${Version}\n' odbc-mariadb | sed 's/-.*//'
ask() { printf '%s\n' "$1" | isql -b -d'|' -k "DRIVER=$driver;SERVER=$host;PORT=$port;DATABASE=$database;UID=root;CHARSET=utf8mb4"; }
host=$1 port=$2 database=$3
for id in a b a; do
  ask "INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES ('buy', '2026-01-02 03:04:05.678', 'ann', '$id', 9007199254740993, 'pro ü😀')" >/dev/null
done
got=$(ask "SELECT insert_id, amount, plan FROM events ORDER BY insert_id")
want=$'a|9007199254740993|pro ü😀\nb|9007199254740993|pro ü😀'
[ "$got" = "$want" ] || { echo "$got" >&2; exit 1; }
ask "help" | grep events_all >/dev/null
{ ask "SELECT * FROM nothing" 2>&1 || true; } | grep ERROR >/dev/null
