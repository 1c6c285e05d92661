// Package backup keeps copies of a data directory in object stores, and gets
// them back. A copy is content-addressed: every file is stored once under the
// hash of its bytes, and a manifest, written last, names the files that a member
// held at one moment, with their hashes, and what each shard came to.
//
// The package knows bytes, hashes and digests, not events: what a member holds it
// is told through Source, and whether what was restored answers right, through
// Opened. So it can copy what a faulty engine made, and say so.
//
//	arbor/files/<first two digits>/<SHA-256>           never changed
//	arbor/manifests/<moment>-<half of its SHA-256>.json
package backup
