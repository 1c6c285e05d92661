// Package consensus keeps what the members of a cluster have to agree on: the
// catalog, the table of members, the placement, and the keys. It is one
// hashicorp/raft group. Every member has all of it, so that reading needs
// nobody; a few of them vote. A command may be applied through any member, and
// has been applied on that member when Apply returns.
//
// Nothing that has to do with events waits for consensus: without a leader they
// are taken in and asked as before, by the state as it is.
//
// A group begins in one of three ways, once: Begin makes a new one of this
// member alone, out of a catalog that it may have had before; a member that
// joins opens with nothing, and is told all by the leader once it was admitted;
// Recover makes a new group of this member alone out of what it has of one whose
// voters are lost.
package consensus
