# Local servers for the runbooks, which read this file first: each is a process of
# arbor's on loopback with a directory of its own. All end, and all is removed, with
# the script.
#
# ARBOR names the binary; without, it is bin/arbor of this tree. RUNBOOK_PORTS may list
# ports to use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ARBOR=${ARBOR:-$PWD/bin/arbor}
[ -x "$ARBOR" ] || { echo "there is no $ARBOR: make build, or set ARBOR" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/arbor-runbook-XXXXXX")
cd "$work"
read -ra ports <<<"${RUNBOOK_PORTS:-}"
declare -A mysql=() http=() peer=() pid=()

end() {
  local status=$? name
  for name in "${!pid[@]}"; do kill -KILL "${pid[$name]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  if [ "$status" != 0 ]; then
    echo "the runbook stopped with status $status; the ends of the logs:" >&2
    tail -n 4 ./*.log >&2 || true
  fi
  rm -rf "$work"
}
trap end EXIT

# step TEXT says what comes next.
step() { printf '\n== %s\n' "$*"; }

# run COMMAND… shows a command and runs it.
run() { printf '$ %s\n' "$*"; "$@"; }

# arbor is the binary under its name.
arbor() { "$ARBOR" "$@"; }

# port takes the next port of the list, or looks for one that nobody listens at.
port() {
  if [ ${#ports[@]} -gt 0 ]; then
    port=${ports[0]}
    ports=("${ports[@]:1}")
    return
  fi
  while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
}

# addresses NAME gives a server its ports, once.
addresses() {
  [ -z "${mysql[$1]:-}" ] || return 0
  port; mysql[$1]=$port
  port; http[$1]=$port
  port; peer[$1]=$port
}

# start NAME [FLAG…] starts a server over the directory NAME and waits until it is ready.
start() {
  local name=$1 scheme=http
  shift
  [[ $* != *--tls-cert* ]] || scheme=https
  addresses "$name"
  echo "\$ arbor serve --data $name $*"
  "$ARBOR" serve --data "$name" --mysql "127.0.0.1:${mysql[$name]}" --http "127.0.0.1:${http[$name]}" "$@" >>"$name.log" 2>&1 &
  pid[$name]=$!
  answers "$scheme://127.0.0.1:${http[$name]}/readyz" "${pid[$name]}" || { cat "$name.log" >&2; return 1; }
}

# answers URL PID waits until a process answers 200.
answers() {
  local tries
  for ((tries = 0; tries < 2400; tries++)); do
    [ "$(curl -sk -o /dev/null -w '%{http_code}' "$1" || true)" != 200 ] || return 0
    kill -0 "$2" 2>/dev/null || return 1
    sleep 0.05
  done
  echo "$1 does not answer" >&2
  return 1
}

# stop NAME ends a process as an operator does; lose NAME as a power cut does.
stop() { echo "\$ kill $1"; kill -TERM "${pid[$1]}"; wait "${pid[$1]}"; unset "pid[$1]"; }
lose() { kill -KILL "${pid[$1]}" 2>/dev/null || true; wait "${pid[$1]}" 2>/dev/null || true; unset "pid[$1]"; }

# sql NAME STATEMENTS asks a server, as root.
sql() { mariadb --no-defaults -h 127.0.0.1 -P "${mysql[$1]}" -u root -N -e "$2"; }

# post NAME STATEMENT asks over HTTP, and fails unless it is answered with 200.
post() { curl -sS --fail-with-body -u root: "http://127.0.0.1:${http[$1]}/query" --data-binary "$2"; }

# call NAME STATEMENTS shows them, too.
call() { printf '%s> %s\n' "$1" "$2"; sql "$1" "$2"; }

# until_says NAME QUESTION ANSWER waits until a server answers so.
until_says() {
  local tries got=
  for ((tries = 0; tries < ${UNTIL:-1200}; tries++)); do
    got=$(sql "$1" "$2" 2>&1) || true
    [ "$got" != "$3" ] || return 0
    sleep 0.1
  done
  echo "$2: \"$got\" and not \"$3\"" >&2
  return 1
}

# same WHAT WANT GOT ends the runbook unless both are the same.
same() {
  if [ "$2" != "$3" ]; then
    printf '%s: < is wanted, > is there\n%s\n' "$1" "$(diff <(echo "$2") <(echo "$3"))" >&2
    return 1
  fi
  echo "✓ $1"
}

# fails TEXT COMMAND… wants a command to fail and to say TEXT.
fails() {
  local text=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "$* succeeded, and should not" >&2
    return 1
  fi
  [[ $said == *"$text"* ]] || { echo "$* says \"$said\", not \"$text\"" >&2; return 1; }
  echo "✓ refused: $text"
}

# contents are all copies of the project shop's events, with all that they are.
contents='SELECT _ingest_id, event, time, distinct_id, insert_id, properties, _duplicate FROM shop.events_all ORDER BY _ingest_id'

# cluster NAME… starts members, each of which holds everything, with three copies of each
# event as far as there are so many.
cluster() {
  local first=$1 name
  addresses "$first"
  start "$first" --peer "127.0.0.1:${peer[$first]}"
  for name in "${@:2}"; do join "$name" "$first"; done
  settled "$first" $#
}

# join NAME AT [FLAG…] starts a new member, with a token that another one gives.
join() {
  addresses "$1"
  arbor token --mysql "127.0.0.1:${mysql[$2]}" >"$1.token"
  start "$1" --peer "127.0.0.1:${peer[$1]}" --join "127.0.0.1:${peer[$2]}" --token-file "$1.token" "${@:3}"
}

# settled AT COPIES waits until each event has so many places and nothing moves.
settled() { until_says "$1" "SELECT COUNT(*), SUM(state = 'settled') FROM arbor.replicas" "$((1024 * $2))	$((1024 * $2))"; }

# removed AT ID ends a membership. Who votes is looked after by itself, and until that is done
# a member without whom there would be no majority is refused.
removed() {
  local tries
  echo "$1> CALL arbor.remove('$2')"
  for ((tries = 0; tries < ${REMOVES:-600}; tries++)); do
    sql "$1" "CALL arbor.remove('$2')" >removed.said 2>&1 || true
    [ "$(sql "$1" "SELECT COUNT(*) FROM arbor.members WHERE id = '$2' AND standing <> 'removed'")" != 0 ] || return 0
    sleep 0.1
  done
  cat removed.said >&2
  sql "$1" "SELECT id, standing, alive, leader, votes, buckets FROM arbor.members" >&2
  return 1
}

# id NAME is the id of a member.
id() { sql "$1" "SELECT id FROM arbor.members WHERE self"; }

# insert NAME FROM TO inserts the numbered events, each twice.
insert() {
  local n rows=
  for ((n = $2; n < $3; n++)); do
    rows+="${rows:+,}('buy', '2026-05-0$((1 + n % 3)) 10:00:00', 'u$((n % 5))', 'i$n', '{\"n\":$n}')"
  done
  sql "$1" "INSERT INTO shop.events (event, time, distinct_id, insert_id, properties) VALUES $rows, $rows" >/dev/null
}

# shop NAME makes a project with events, in files and in the log.
shop() {
  sql "$1" "CREATE DATABASE shop"
  insert "$1" 0 20
  sql "$1" "CALL arbor.index_project('shop')"
  insert "$1" 20 30
}

# edge_key makes the key that a siphon and the gateways behind it share.
edge_key() { [ -e edge.key ] || (umask 077; openssl rand -hex 32 >edge.key); }

# siphon NAME starts a siphon in front of a server, which has --edge-key edge.key.
siphon() {
  port
  edge=http://127.0.0.1:$port
  siphon_to "$1"
}

# siphon_to NAME starts it again in front of another one.
siphon_to() {
  [ -z "${pid[siphon]:-}" ] || siphon_end
  echo "\$ arbor siphon --upstream http://127.0.0.1:${http[$1]} --edge-key edge.key --dir siphon"
  "$ARBOR" siphon --upstream "http://127.0.0.1:${http[$1]}" --edge-key edge.key --dir siphon --listen "${edge#http://}" --admin "" >>siphon.log 2>&1 &
  pid[siphon]=$!
  answers "$edge/readyz" "${pid[siphon]}"
  token=$(sql "$1" "SELECT token FROM arbor.projects WHERE name = 'shop'")
}

# siphon_end ends it, which seals what it has copied.
siphon_end() { stop siphon; }

# send FROM TO sends the numbered events through the siphon, every third without an
# insert id, in requests of five.
send() {
  local n body=
  for ((n = $1; n < $2; n++)); do
    body+="${body:+,}{\"event\":\"buy\",\"properties\":{\"time\":$((1777593600 + n % 3 * 86400)),\"distinct_id\":\"u$((n % 5))\",\"n\":$n$([ $((n % 3)) = 0 ] || echo ",\"\$insert_id\":\"i$n\"")}}"
    if [ $((n % 5)) = 4 ] || [ $((n + 1)) = "$2" ]; then
      curl -sf -o answer -u "$token:" "$edge/import" -H 'Content-Type: application/json' -d "[$body]" || { echo "the siphon answered: $(cat answer)" >&2; return 1; }
      body=
    fi
  done
}

# replay NAME [FLAG…] sends again what the siphon kept.
replay() { run arbor replay --server "http://127.0.0.1:${http[$1]}" --dir siphon --edge-key edge.key --quiet "${@:2}"; }
