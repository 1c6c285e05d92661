package gateway

import (
	"io"

	"github.com/dolthub/vitess/go/mysql"
)

// loadInfile asks the client for a file and notes that it is being sent.
func loadInfile(c *mysql.Conn) func(string) (io.ReadCloser, error) {
	return func(name string) (io.ReadCloser, error) {
		w := wireOf(c)
		w.loading.Store(true)
		r, err := c.LoadInfile(name)
		if err != nil {
			w.loading.Store(false)
			return nil, err
		}
		return &infile{ReadCloser: r, wire: w}, nil
	}
}

// infile is a file that the client sends.
type infile struct {
	io.ReadCloser
	wire *wire
}

// Close waits until the client has sent all of it.
func (f *infile) Close() error {
	defer f.wire.loading.Store(false)
	return f.ReadCloser.Close()
}
