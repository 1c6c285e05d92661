#!/usr/bin/env bash
# An import brought in events that should not be there. They are known by when they came
# in, are taken out by a DELETE that can be undone, and the right file is imported.
. "$(dirname "$0")/local.sh"
start a
shop a
want=$(sql a "SELECT event, time, distinct_id, insert_id, properties FROM shop.events ORDER BY insert_id")
import() { arbor import --quiet --state state --server "http://127.0.0.1:${http[a]}" --project shop "$1"; }
before=$(sql a "SELECT NOW(6)")
for n in {1..50}; do # prices in cents, where all others are in euros
  echo "{\"event\":\"sale\",\"properties\":{\"time\":1777593600,\"distinct_id\":\"u$n\",\"\$insert_id\":\"s$n\",\"price\":$((n * 100))}}"
done >wrong.ndjson
sed 's/00}}$/}}/' wrong.ndjson >right.ndjson
import wrong.ndjson
after=$(sql a "SELECT NOW(6)")
insert a 30 31 # others go on

step "What came in then? First count, then delete: only what the import brought."
where="_ingested_at BETWEEN '$before' AND '$after' AND event = 'sale'"
same "these are the import's" 50 "$(sql a "SELECT COUNT(*) FROM shop.events WHERE $where")"
call a "DELETE FROM shop.events WHERE $where"
same "the others are as they were" "$want" "$(sql a "SELECT event, time, distinct_id, insert_id, properties FROM shop.events WHERE insert_id <> 'i30' ORDER BY insert_id")"

step "The right file is imported. The same insert ids count again, since their events were deleted."
import right.ndjson
same "each sale once, and right" "50	1275" "$(sql a "SELECT COUNT(*), SUM(price) FROM shop.events WHERE event = 'sale'")"

step "If too much was deleted, it comes back."
call a "CALL arbor.undo_delete('$(sql a "SELECT id FROM arbor.deletes")')"
same "the first copy counts again" "50	127500" "$(sql a "SELECT COUNT(*), SUM(price) FROM shop.events WHERE event = 'sale'")"
same "every event that was accepted is accounted for" 0 "$(sql a "SELECT COUNT(*) FROM arbor.balance WHERE accepted <> visible + retry + conflict + deleted + quarantined + erased")"
