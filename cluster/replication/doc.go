// Package replication drives the machines of package protocol in a process: it
// owns a Writer, a Reader and a Holder, carries out what they want with the
// member's storage and connections, and brings the ends of it back.
//
// # How it is put together
//
// From the inside out, and closed the other way round:
//
//	d, err := replication.Open(ctx, replication.Options{…})    // reads what is on disk
//	node, err := peer.Serve(peer.Options{
//		Receive: d.Receive,
//		Streams: map[string]peer.Stream{replication.StreamScan: d.ServeScan, replication.StreamFile: d.ServeFile},
//		…
//	})
//	d.Start(node)                                              // from here on it speaks to others
//	d.Learn(placement)                                         // at the start and at every change
//
// Learn takes the placement of the metadata; configs that come with messages are
// learnt besides. Options.Synced brings what the mover has to hear to whoever
// leads, and Options.Broken ends the process.
//
// # One owner
//
// The machines are called under one lock, and never wait under it. What they want
// is carried out after it was given back: messages by the transport, which queues
// or drops them; disk work by a few bounded pools; scans each by a goroutine. A
// write that needs no other member is carried out by its caller's goroutine, so
// that a member alone pays for no hand-over; the machines' rules hold all the same.
//
// # Scans
//
// What the machines know as a scan's request and replies is one stream: the
// request goes out with it, and replies and the answer's pieces come back in
// frames. A stream that breaks is a scan that failed.
//
//	frame: ┌──────┬────────────────────────────────────────────────┐
//	       │ kind │ 1 a piece · 2 a ScanReply, encoded without     │
//	       │ 1    │ its part · 3 the plan's error, as Faults has it │
//	       └──────┴────────────────────────────────────────────────┘
package replication
