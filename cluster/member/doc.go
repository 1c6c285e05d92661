// Package member is a member's life in a cluster: it begins one, or joins one by a
// token, says at each start that it is there, keeps the catalog by consensus, and
// leaves. While it leads it also plans which members hold what.
//
// # How a member comes to be
//
// Found makes a member out of a data directory that was used alone: its catalog
// becomes the first state that members agree on. Join makes one out of an empty
// directory and a token. Either writes the member's identity, in cluster/identity of the
// data directory, and Open starts what is there:
//
//	data/cluster/identity        who the member is: id, keys, where it is reached
//	data/cluster/metadata/       consensus's log and snapshots
//	data/cluster/catalog-before/ the log of the catalog before the cluster began
//
// # Fencing
//
// Each start of a data directory has a number and draws a session, which become
// part of the metadata. A process that starts with an older number has a copy of
// the directory, or an older state of it, and ends; so does one that learns that
// another process of its member started after it.
package member
