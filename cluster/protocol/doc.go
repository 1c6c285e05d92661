// Package protocol is how replicas agree: which batches exist, who must hold
// them, when one is acknowledged and when an answer is complete. It consists of
// state machines that do no I/O and read no clock. Each takes what happened (a
// message came, a disk finished, time passed) and says what is to be done (send
// this, store that, tell the caller). Production drives them with sockets, disks
// and timers; the simulator drives the very same code with fakes and a seed.
//
// # The pieces
//
// Every event falls into one of Buckets virtual buckets, by project and slot of
// the user's hash, so that all days of a user are in one. The Placement, part of
// the metadata, says which replicas hold a bucket: a Config with an epoch.
// A replica is a member and a generation: who lost anything on disk comes back
// under the next generation and never again under this one.
//
// A batch is one encoded record, named by a dot (package dot), and never changes. What
// a replica holds of a bucket is a set of dots that only grows. There is no order
// between batches, so there is no leader and nothing to agree on but the union.
//
//	Writer   sends a batch to all of old ∪ new, and acknowledges it when a
//	         majority of each has it on disk at one epoch.
//	Holder   stores, answers at one epoch, pulls what it lacks, catches up when a
//	         bucket comes to it, and scans.
//	Reader   asks majorities for their sets at one epoch, lets one replica have
//	         the union and scan, and takes each bucket's part once.
//	Mover    begins and ends changes of a config; it runs beside whoever leads
//	         the metadata.
//
// # What a driver provides
//
// Storage and Scanner are the engine's side, Transport the network's, Ledger a small
// durable table of configs. See driver.go. The machines have one owner: a driver calls
// them under one lock or from one goroutine, carries their effects out elsewhere
// and brings the completions back. A completion may come late, twice never.
package protocol
