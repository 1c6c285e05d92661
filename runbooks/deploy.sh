#!/usr/bin/env bash
# A release goes out: one member after the other gets the new binary, and each time all that
# there is is compared before the next one; then the new version of the indexer is staged on
# one member, compared, and promoted. The first difference ends it.
#
# OLD and NEW name the binaries, EVENTS how many there are, DURING how long the version is
# staged at least; without, it is one binary, 60 events, and as long as comparing takes.
. "$(dirname "$0")/local.sh"
OLD=${OLD:-$ARBOR} NEW=${NEW:-$ARBOR} EVENTS=${EVENTS:-60} DURING=${DURING:-0s}
sent=0

# take NAME N has a member take in more events, each twice, a hundred at a time.
take() {
  local upto=$((sent + $2)) next
  while [ "$sent" -lt "$upto" ]; do
    next=$((sent + 100 < upto ? sent + 100 : upto))
    insert "$1" "$sent" "$next"
    sent=$next
  done
  want=$(sql "$1" "$contents")
}

answers="SELECT event, DATE(time), COUNT(*), COUNT(DISTINCT distinct_id), SUM(n), MIN(n), MAX(n) FROM shop.events GROUP BY 1, 2 ORDER BY 1, 2"
apart="SELECT COUNT(DISTINCT member), COUNT(DISTINCT day, bucket, batches, digest) - COUNT(DISTINCT day, bucket) FROM arbor.digests WHERE project = 'shop'"

# verify holds all members against each other and against what was sent.
verify() {
  local name said
  until_says a "$apart" "3	0" || return 1
  said=$(sql a "$answers")
  for name in a b c; do
    same "$name has the contents" "$want" "$(sql "$name" "$contents")" || return 1
    same "$name gives the answers" "$said" "$(sql "$name" "$answers")" || return 1
  done
  same "the balance adds up" "$((2 * sent))	$((2 * sent))	$sent" "$(sql b "SELECT SUM(accepted), SUM(visible + retry + conflict + deleted + quarantined + erased), SUM(visible) FROM arbor.balance WHERE project = 'shop'")" || return 1
  same "all that is stored reads well" "0 1" "$(sql c "CALL arbor.check_project('shop')" | awk -F'\t' '$6 != 1 { bad++ } END { print bad + 0, (NR > 0) }')" || return 1
  same "no alarms" 0 "$(sql a "SELECT COUNT(*) FROM arbor.alarms")"
}

step "Three members with the old release."
ARBOR=$OLD
cluster a b c
sql a "CREATE DATABASE shop"
take a $((EVENTS / 2))
sql a "CALL arbor.index_project('shop')"
take b $((EVENTS / 4))
verify
(want="not $want"; fails "a has the contents" verify)

for name in a b c; do
  step "$name gets the new binary. The others take events meanwhile."
  ARBOR=$NEW
  stop "$name"
  take "$([ "$name" = a ] && echo b || echo a)" $((EVENTS / 12))
  start "$name"
  until_says "$name" "SELECT COUNT(*) FROM arbor.members WHERE alive" 3
  verify
done

from=$(sql a "SELECT value FROM arbor.settings WHERE name = 'index_version'")
to=${VERSION:-$((3 - from))}
step "c runs index version $to, and all others version $from."
call a "CALL arbor.stage('$to', '$(id c)', '$DURING')"
take a $((EVENTS / 12))
until_says a "$apart" "3	0"
sql a "CALL arbor.close_days('shop')"
same "c alone has files of version $to" "$(id c)" "$(sql a "SELECT DISTINCT member FROM arbor.files WHERE version = $to AND state = 'indexed' ORDER BY member")"
until_says a "SELECT state, shards > 0 AND compared = shards, problem FROM arbor.stage" "running	1	NULL"
verify

step "Nothing differs: it is promoted."
until_says a "SELECT until <= NOW() FROM arbor.stage" 1
call b "CALL arbor.promote()"
take c $((EVENTS / 12))
until_says a "$apart" "3	0"
sql a "CALL arbor.close_days('shop')"
verify
same "all have files of version $to" 3 "$(sql a "SELECT COUNT(DISTINCT member) FROM arbor.files WHERE version = $to")"
