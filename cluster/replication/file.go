package replication

import (
	"context"
	"errors"
	"fmt"

	"arbor/cluster/protocol"
)

// StreamFile is the name of the stream that Driver.ServeFile answers.
const StreamFile = "file"

var errNoTransport = errors.New("nobody can be asked yet")

// adopt takes a file in that another member offers.
func (d *Driver) adopt(t *protocol.Task) {
	request := protocol.Encode(&protocol.FileRequest{Bucket: t.Bucket, Name: t.Adopt.File.Name})
	dots, err := d.o.Storage.Adopt(d.ctx, t.Bucket, t.Adopt.File, func(ctx context.Context, take func([]byte) error) error {
		transport := d.transport.Load()
		if transport == nil {
			return errNoTransport
		}
		return (*transport).Stream(ctx, t.Adopt.From, StreamFile, request, func(piece []byte) error {
			if err := d.Pass(ctx, len(piece)); err != nil {
				return err
			}
			return take(piece)
		})
	})
	d.complete(t.Number, protocol.Result{Dots: dots, Err: err})
}

// ServeFile gives a member the bytes of a file that was offered: it is the stream of
// that name.
func (d *Driver) ServeFile(ctx context.Context, from protocol.MemberID, request []byte, send func([]byte) error) error {
	m, err := protocol.Decode(request)
	file, ok := m.(*protocol.FileRequest)
	if err != nil || !ok {
		return fmt.Errorf("file for member %s: %w", from, errors.Join(err, errFrame))
	}
	if !d.hold() {
		return ErrClosed
	}
	defer d.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	return d.o.Storage.ReadFile(ctx, file.Bucket, file.Name, func(piece []byte) error {
		return send(append([]byte(nil), piece...)) // which keeps it
	})
}
