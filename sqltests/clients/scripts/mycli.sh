#!/usr/bin/env bash
# Asks with mycli, as a script would.
#
#   mycli.sh HOST PORT DATABASE
set -euo pipefail
export HOME=$(mktemp -d) LC_ALL=C.UTF-8
trap 'rm -rf "$HOME"' EXIT
mycli --version | sed 's/.*Version: //;s/.* //'
ask() { mycli -h "$1" -P "$2" -u root -p '' -D "$3" --csv -e "$4"; }
ask "$@" "INSERT INTO events (event, time, distinct_id, insert_id, amount, plan) VALUES ('buy', '2026-01-02', 'ann', 'a', 9007199254740993, 'pro ü😀')"
ask "$@" "SELECT amount, plan FROM events" | tail -1 | tr -d '"\r' | grep -x '9007199254740993,pro ü😀' >/dev/null
ask "$@" "SHOW TABLES" | grep events_all >/dev/null
