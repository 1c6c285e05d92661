#!/usr/bin/env bash
# A release has harmed the data of a server, and nobody knows how much of it. The last
# backup from before is restored beside, a replay brings it up to date, and what both have
# is compared before clients are sent there.
. "$(dirname "$0")/local.sh"
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
