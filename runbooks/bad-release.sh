#!/usr/bin/env bash
# A release harms what it indexes. If it was staged, one member alone ran it: the comparison
# stops it, and a rollback takes what it made from the others. If it ran everywhere, nobody
# knows how much of the data it harmed: the last backup from before is restored beside, a
# replay brings it up to date, and what both have is compared before clients are sent there.
. "$(dirname "$0")/local.sh"
cluster a b
shop a
from=$(sql a "SELECT value FROM arbor.settings WHERE name = 'index_version'")
to=$((3 - from))

step "Its version of the indexer is staged on b."
call a "CALL arbor.stage('$to', '$(id b)', '1h')"
insert a 30 40
want=$(sql a "$contents")
until_says a "SELECT COUNT(DISTINCT member), COUNT(DISTINCT day, bucket, batches) - COUNT(DISTINCT day, bucket) FROM arbor.digests" "2	0"
sql a "CALL arbor.close_days('shop')"
until_says a "SELECT state, shards > 0 AND compared = shards FROM arbor.stage" "running	1"
fails "is compared for another" sql a "CALL arbor.promote()"

# What the release does: what it wrote is not what it was told to write.
file=$(find b/shards -name "$(sql a "SELECT MIN(file) FROM arbor.files WHERE version = $to AND state = 'indexed'")")
printf harm | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") / 2)) conv=notrunc status=none
sql a "CHECK TABLE shop.events" >/dev/null

step "It is found, and the stage is stopped, with an alarm."
until_says a "SELECT state FROM arbor.stage" stopped
sql a "SELECT member, problem FROM arbor.stage"
same "there is an alarm" 1 "$(sql a "SELECT COUNT(*) FROM arbor.alarms WHERE kind = 'stage'")"
same "questions are answered by others" "$want" "$(sql b "$contents")"

step "It is taken back. What b made is replaced."
call b "CALL arbor.rollback()"
same "nothing is staged" 0 "$(sql a "SELECT COUNT(*) FROM arbor.stage")"
same "nothing made by it is left" 0 "$(sql a "SELECT COUNT(*) FROM arbor.files WHERE version = $to AND state = 'indexed'")"
same "b has what there was" "$want" "$(sql b "$contents")"
same "all have the same" "2	0" "$(sql a "SELECT COUNT(DISTINCT member), COUNT(DISTINCT day, bucket, digest) - COUNT(DISTINCT day, bucket) FROM arbor.digests")"
same "all that is stored reads well" "0 1" "$(sql a "CALL arbor.check_project('shop')" | awk -F'\t' '$6 != 1 { bad++ } END { print bad + 0, (NR > 0) }')"
for name in a b; do stop "$name"; done

step "Another release was not staged, and ran everywhere."
edge_key
start live --edge-key edge.key --backup-to "file://$work/copies"
sql live "CREATE DATABASE shop"
siphon live
send 0 30
sql live "CALL arbor.close_days('shop')" >/dev/null
run arbor backup --quiet --server "127.0.0.1:${mysql[live]}"
send 30 45
want=$(sql live "$contents")
# What the release does: it takes out events of a day, as if somebody had asked for that.
sql live "DELETE FROM shop.events WHERE time >= '2026-05-02' AND time < '2026-05-03'"
send 45 60
siphon_end

step "The release goes back first: the same directory under the one before. Take no events meanwhile."
stop live
start live --edge-key edge.key

step "The newest backup from before is restored into an empty directory."
run arbor restore --from "file://$work/copies" --list
backup=$(arbor restore --from "file://$work/copies" --list | awk 'END { print $2 }')
said=$(arbor restore --quiet --from "file://$work/copies" --manifest "$backup" --data anew)
echo "$said"
replay_from=$(grep -oE '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z' <<<"$said" | tail -1)

step "A replay brings what was accepted since."
start anew --edge-key edge.key
replay anew --from "$replay_from"

step "What differs? Here, and nowhere else, the release did harm."
days="SELECT day, SUM(accepted), SUM(visible) FROM arbor.balance WHERE project = 'shop' GROUP BY day ORDER BY day"
diff <(sql live "$days") <(sql anew "$days") && { echo "nothing differs" >&2; exit 1; } || true
same "only that day differs" 1 "$(diff <(sql live "$days") <(sql anew "$days") | grep -c '^>')"
same "what was there before the harm is there" "$want" "$(sql anew "$contents" | head -n "$(wc -l <<<"$want")")"
same "and what came after it" 60 "$(sql anew "SELECT COUNT(*) FROM shop.events_all")"

step "Clients go to the new directory; the old one is kept until nobody misses anything."
stop live
stop anew
run mv live harmed
run mv anew live
start live --edge-key edge.key --backup-to "file://$work/copies"
same "all is there" 60 "$(sql live "SELECT COUNT(*) FROM shop.events_all")"
