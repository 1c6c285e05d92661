// Package gossip says who seems to be alive, and passes small hints around. It is
// hashicorp/memberlist over the peer port's connections, so that all of it is
// between members that have proved who they are. What it says is a hint and
// never the truth: who is a member, and who holds what, is in the metadata, and
// nothing is placed, moved or acknowledged by what is heard here.
//
// Members know each other by id. memberlist wants addresses of the internet, so
// each gets one that is made of its id and leads nowhere; connections are made by
// id alone. So a member whose address changed is the same to gossip.
package gossip
