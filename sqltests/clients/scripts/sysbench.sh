#!/usr/bin/env bash
# Writes and asks by sysbench, from four threads at once.
#
#   sysbench.sh HOST PORT DATABASE
set -euo pipefail
sysbench --version | sed 's/sysbench //'
script=$(mktemp --suffix .lua)
trap 'rm -f "$script"' EXIT
cat >"$script" <<'LUA'
function thread_init()
  connection = sysbench.sql.driver():connect()
end
local id = 0
function event()
  id = id + 1
  connection:query(string.format("INSERT INTO events (event, time, distinct_id, insert_id, amount) VALUES ('buy', '2026-01-02', 'u%d', 't%d', %d)", id, sysbench.tid, id))
  connection:query("SELECT COUNT(*), MAX(amount) FROM events WHERE event = 'buy'")
end
LUA
sysbench "$script" --db-driver=mysql --mysql-host="$1" --mysql-port="$2" --mysql-user=root --mysql-db="$3" --threads=4 --events=100 --time=0 run | grep -E 'total number of events: +100' >/dev/null
[ "$(mariadb --no-defaults -h "$1" -P "$2" -u root -N -B "$3" -e 'SELECT COUNT(*) = 100 AND COUNT(DISTINCT insert_id) = 4 FROM events')" = 1 ]
