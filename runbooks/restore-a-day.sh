#!/usr/bin/env bash
# A file of a day is gone, and the trash has it no more: the day comes back from the last
# backup, and what came after that from a siphon's copies. Other days go on meanwhile.
. "$(dirname "$0")/local.sh"
edge_key
start live --edge-key edge.key --backup-to "file://$work/copies"
sql live "CREATE DATABASE shop; CALL arbor.set_setting('trash_retention', '0s')"
siphon live
send 0 30
call live "CALL arbor.close_days('shop')" # each day is one file
run arbor backup --quiet --server "127.0.0.1:${mysql[live]}"
send 30 60
siphon_end
want=$(sql live "$contents")
lost=$(sql live "SELECT CONCAT_WS('/', 'shards', project_id, day, bucket, file) FROM arbor.files WHERE day = '2026-05-02'")
stop live
rm "live/$lost"
start live --edge-key edge.key --backup-to "file://$work/copies"

step "Which days cannot be read, and where are copies? The others go on."
call live "SELECT day, missing, store, backup, replay_from FROM arbor.loss"
same "other days are there" 20 "$(sql live "SELECT COUNT(*) FROM shop.events WHERE time < '2026-05-02'")"
fails "2026-05-02" sql live "SELECT COUNT(*) FROM shop.events"
backup=$(sql live "SELECT backup FROM arbor.loss")
replay_from=$(sql live "SELECT DATE_FORMAT(replay_from, '%Y-%m-%dT%H:%i:%sZ') FROM arbor.loss")

step "Have the server forget the file that is gone, and see what the backup has that it lacks."
stop live
run rm -r live/ledger
start live --edge-key edge.key --backup-to "file://$work/copies"
same "the day answers with what came after the backup" 10 "$(sql live "SELECT COUNT(*) FROM shop.events WHERE time >= '2026-05-02' AND time < '2026-05-03'")"
day=(arbor restore --quiet --from "file://$work/copies" --manifest "$backup" --server "http://127.0.0.1:${http[live]}" --project shop --days 2026-05-02 --scratch scratch)
run "${day[@]}" --dry-run

step "Restore it beside and look at it, then into place, while events come in."
run "${day[@]}"
same "the day as it was backed up" 10 "$(sql live "SELECT COUNT(*) FROM shop_restored.events")"
run "${day[@]}" --in-place --yes
same "the day is whole" 20 "$(sql live "SELECT COUNT(*) FROM shop.events WHERE time >= '2026-05-02' AND time < '2026-05-03'")"
call live "DROP DATABASE shop_restored"
same "no day is missing" 0 "$(sql live "SELECT COUNT(*) FROM arbor.loss")"

step "What came after the backup is replayed; what is there already is merged with itself."
replay live --from "$replay_from"
same "all is as it was" "$want" "$(sql live "$contents")"
same "and every byte is right" 0 "$(sql live "CALL arbor.check_project('shop')" | awk -F'\t' '$6 != 1' | wc -l)"
