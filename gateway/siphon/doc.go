// Package siphon keeps the raw requests that events came in, outside of all code
// that could harm the events: a small process in front of the gateways passes
// every request on as it is, without parsing it, and keeps a durable copy of those
// that were answered. From the copies everything that was accepted within the
// last days can be sent again, which is harmless: the siphon stamps each request
// with an ingest id, and a replay bears the same one, so a gateway that has the
// events already merges them with themselves.
//
// The life of a request:
//
//	read whole → stamp → upstream → copy to the segment, fsync → answer
//
// The copy comes after the upstream's answer, so that refused requests need no
// room, and before the client's, so that what a client was told is stored has its
// copy. Between the two the siphon may die: the client then has no answer and
// sends again.
//
// It must survive our bugs, so it imports nothing of arbor but engine/vfs: the
// format of its segments, the stamps and the client of the replay are its own.
package siphon
