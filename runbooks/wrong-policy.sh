#!/usr/bin/env bash
# A policy hides events that are none of the same, or shows copies. Nothing is lost by it:
# a policy changes what is seen, for the past too, and so does the right one.
. "$(dirname "$0")/local.sh"
start a
shop a
want=$(sql a "$contents")
call a "CALL arbor.set_policy('shop', 'ENABLED=off', '2026-05-01', '2026-05-01')"
same "copies are counted on that day" 40 "$(sql a "SELECT COUNT(*) FROM shop.events")"

step "Which policies are there, and what would the default show?"
call a "SELECT * FROM arbor.policies"
call a "CALL arbor.preview_policy('shop', 'ENABLED=on', '2026-05-01', '2026-05-01')"

step "The right policy, for the same days; or the default for all."
call a "CALL arbor.set_policy('shop', 'ENABLED=on', '2026-05-01', '2026-05-01')"
same "each event counts once" 30 "$(sql a "SELECT COUNT(*) FROM shop.events")"
call a "CALL arbor.reset_policies('shop')"
same "all is as it was" "$want" "$(sql a "$contents")"
