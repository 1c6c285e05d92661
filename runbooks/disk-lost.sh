#!/usr/bin/env bash
# The disk of a member of a cluster is lost, and its machine is not: it comes back as a
# new member, in the place of the one that it was.
. "$(dirname "$0")/local.sh"
cluster a b c
shop a
want=$(sql a "$contents")

step "c's disk is gone. The same start does not help: nobody knows this directory."
old=$(id c)
lose c
rm -rf c
insert a 30 40
want=$(sql a "$contents")

step "It joins anew, on the disk that took the place."
join c a
call a "CALL arbor.replace('$old', '$(id c)')"
until_says a "SELECT buckets FROM arbor.members WHERE id = '$old'" 0
removed a "$old"
settled a 3
same "c has everything" "$want" "$(sql c "$contents")"
same "and all replicas have the same" 1 "$(sql a "SELECT MAX(n) FROM (SELECT COUNT(DISTINCT digest) AS n FROM arbor.digests GROUP BY project, day, bucket) d")"
