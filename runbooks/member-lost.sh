#!/usr/bin/env bash
# A member of a cluster is lost for good, and another one takes its place.
. "$(dirname "$0")/local.sh"
cluster a b c
shop a

step "c dies. Nothing has to be done at once: the others answer, and take events."
dead=$(id c)
lose c
insert b 30 40
want=$(sql a "$contents")
same "b answers as a does" "$want" "$(sql b "$contents")"

step "It does not come back: a new member takes its place."
join d a
call a "CALL arbor.replace('$dead', '$(id d)')"
until_says a "SELECT buckets FROM arbor.members WHERE id = '$dead'" 0
removed a "$dead"
settled a 3

step "Again any one may be lost."
lose b
same "a and d have everything" "$want" "$(sql d "$contents")"
insert d 40 41
same "and take events" 41 "$(sql a "SELECT COUNT(*) FROM shop.events")"
