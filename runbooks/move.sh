#!/usr/bin/env bash
# All goes to new machines, without a moment in which nobody answers: new members join,
# the old ones are drained, and clients are sent to the new ones.
. "$(dirname "$0")/local.sh"
cluster a b
sql a "CALL arbor.set_setting('replicas', '2')"
shop a
sql a "CREATE USER ann IDENTIFIED BY 'x'"
old=("$(id a)" "$(id b)")

step "As many new members join as there are to be."
join c a
join d a

step "The old ones are drained, one after another, while events come in."
for i in 0 1; do
  call c "CALL arbor.drain('${old[$i]}')"
  insert c $((30 + i)) $((31 + i))
  until_says c "SELECT buckets FROM arbor.members WHERE id = '${old[$i]}'" 0
done
want=$(sql a "$contents")

step "Clients are sent to the new ones. The old ones are removed, and end by themselves."
for i in 0 1; do removed c "${old[$i]}"; done
lose a
lose b
rm -rf a b
for name in c d; do same "$name has everything" "$want" "$(sql "$name" "$contents")"; done
insert d 32 33
same "they take events" 33 "$(sql c "SELECT COUNT(*) FROM shop.events")"
same "and know the users" 1 "$(sql d "SELECT COUNT(*) FROM mysql.user WHERE user = 'ann'")"
