#!/usr/bin/env bash
# Installs the programs that the tests talk to arbor with, where they are
# missing: MySQL's clients in all their languages, Node with npm, Chromium, and the
# Node packages that the lock file pins.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
# need NAME PACKAGE…: the packages are wanted where there is no such program.
need() { command -v "$1" >/dev/null || missing+=("${@:2}"); }
# want PACKAGE…: the packages are wanted where they are not installed.
want() {
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
}
need mariadb mariadb-client
need mariadb-tzinfo-to-sql mariadb-client
need mariadb-install-db mariadb-server-core
need curl curl
need openssl openssl
need node nodejs
need npm npm
need chromium chromium
need gcc gcc libc6-dev
need mycli mycli
need mydumper mydumper
need sysbench sysbench
need php php-cli
need java openjdk-17-jdk-headless
need isql unixodbc
want php-mysql php-mbstring php-xml adminer phpmyadmin dbconfig-no-thanks python3-pymysql python3-mysqldb python3-sqlalchemy libdbd-mysql-perl ruby-mysql2 libmariadb-java odbc-mariadb
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ ! -e node/node_modules/.package-lock.json ] || [ node/package-lock.json -nt node/node_modules/.package-lock.json ]; then
  (cd node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
fi
