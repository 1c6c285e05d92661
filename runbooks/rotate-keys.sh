#!/usr/bin/env bash
# The edge key, a project's token, a user's password and a certificate are changed while
# events come in; and a replay of what was copied before still works.
. "$(dirname "$0")/local.sh"
certificate() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -addext "subjectAltName=IP:127.0.0.1" -keyout tls.key.new -out tls.pem.new 2>/dev/null; mv tls.key.new tls.key; mv tls.pem.new tls.pem; }
edge_key
certificate first
start a --edge-key edge.key
sql a "CREATE DATABASE shop; CREATE USER ann IDENTIFIED BY 'first'"
siphon a
send 0 10

step "The edge key: first the gateways know both, then the siphon uses the new one, then the old one goes."
cp edge.key both.key
openssl rand -hex 32 >new.key
cat new.key >>both.key
stop a
start a --edge-key both.key
cp new.key edge.key
siphon_to a
send 10 20
stop a
start a --edge-key edge.key
send 20 30

step "The token: a rotated one opens nothing any more."
old_token=$token
call a "CALL arbor.rotate_token('shop')"
fails "401" curl -sS --fail -u "$old_token:" "$edge/import" -d '[]'
token=$(sql a "SELECT token FROM arbor.projects WHERE name = 'shop'")
send 30 40
siphon_end
want=$(sql a "$contents")

step "A replay needs the token as it was, and says so."
sql a "CREATE DATABASE shop_check"
fails "--old-token" replay a --project shop --into shop_check
replay a --old-token "$old_token=shop" --project shop --into shop_check
same "it brings back everything" "$want" "$(sql a "${contents/shop./shop_check.}")"
replay a --old-token "$old_token=shop"
same "and adds nothing to what is there" "$want" "$(sql a "$contents")"

step "A user's password."
call a "ALTER USER ann IDENTIFIED BY 'second'"
login() { mariadb --no-defaults -h 127.0.0.1 -P "${mysql[a]}" -u ann "-p$1" -N -e "SELECT 'welcome'"; }
fails "Access denied" login first
same "the new one opens" welcome "$(login second)"

step "The certificate: files that change are taken at the next handshake, without a restart."
stop a
start a --edge-key edge.key --tls-cert tls.pem --tls-key tls.key
subject() { openssl s_client -connect "127.0.0.1:${http[a]}" </dev/null 2>/dev/null | openssl x509 -noout -subject; }
same "the first certificate" "subject=CN=first" "$(subject | tr -d ' ')"
certificate second
same "the second one" "subject=CN=second" "$(subject | tr -d ' ')"
