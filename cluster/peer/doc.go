// Package peer is how members talk: one port, TLS 1.3 with certificates of the
// cluster's own authority on both sides, and on it
//
//   - calls: a request and its answer, or a request and a stream of answers, with
//     deadlines, and back-pressure by gRPC. Bytes are opaque here;
//   - messages, which may get lost: what package protocol sends;
//   - consensus's own connections, and gossip's.
//
// Who is on the other side is known by its certificate, which bears the member's
// id, and asked again of the table of members at every call: whoever was removed
// is out, although its certificate is good. One call is open to anybody: to join,
// by a token that a member made.
package peer
