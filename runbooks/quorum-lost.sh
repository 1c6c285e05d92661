#!/usr/bin/env bash
# Two of three members are lost for good, with their disks. The third goes on with what
# it has, and a siphon's copies bring back what only the others had.
. "$(dirname "$0")/local.sh"
edge_key
addresses a
start a --peer "127.0.0.1:${peer[a]}" --edge-key edge.key
join b a --edge-key edge.key
join c a --edge-key edge.key
settled a 3
sql a "CREATE DATABASE shop"
siphon a
send 0 10
lose a # what comes now only b and c acknowledge
siphon_to b
send 10 20
want=$(sql b "$contents")
lose b
lose c
rm -rf b c
siphon_end

step "Only a is left: nobody can say what the others have acknowledged. a goes on alone, with what it has."
fails "say --yes" arbor metadata recover --data a --lost others
run arbor metadata recover --data a --lost others --yes
start a --edge-key edge.key
lost_b=$(sql a "SELECT id FROM arbor.members WHERE NOT self ORDER BY id LIMIT 1")
lost_c=$(sql a "SELECT id FROM arbor.members WHERE NOT self ORDER BY id DESC LIMIT 1")
removed a "$lost_b"
removed a "$lost_c"
same "it has what it had" 10 "$(sql a "SELECT COUNT(*) FROM shop.events")"

step "What only the lost ones had, a replay brings back."
replay a
same "everything acknowledged is there, once" "$want" "$(sql a "$contents")"

step "It grows again."
join d a --edge-key edge.key
join e a --edge-key edge.key
settled a 3
same "and the new ones have it" "$want" "$(sql e "$contents")"
