package gateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"

	"github.com/dolthub/vitess/go/mysql"
)

// greeting handles the client's first packet. It reports whether the packet
// was a request for TLS, which the library never sees.
func (w *wire) greeting(length int, sequence uint8) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == wireCommand {
		return false, nil
	}
	if length > maxHandshakePacket {
		return false, errHandshake
	}
	if w.phase == wireLogin {
		short := w.secured && length <= sslRequestBytes
		w.secured = false
		if short {
			return false, errHandshake
		}
		return false, nil
	}
	w.phase = wireLogin
	if length < 4 {
		return false, errHandshake
	}
	b, err := w.source.Peek(8)
	if err != nil {
		return false, err
	}
	flags := uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24
	w.sendsFiles = flags&mysql.CapabilityClientLocalFiles != 0
	if flags&mysql.CapabilityClientSSL == 0 || w.options.TLS == nil {
		if w.needsTLS() {
			w.sequence = sequence
			w.writeRaw(errorPacket(sequence+1, errInsecureTransport))
			return false, io.EOF
		}
		if length <= sslRequestBytes { // there is no user in it, and the library would look for one
			return false, errHandshake
		}
		return false, nil
	}
	if length != sslRequestBytes {
		return false, errHandshake
	}
	w.source.Discard(4 + length)
	t := tls.Server(&prefixed{Conn: w.Conn, first: w.source}, w.options.TLS)
	w.stream = t
	w.source = bufio.NewReaderSize(t, wireBuffer)
	w.shift++
	w.secured = true
	return true, nil
}

// needsTLS reports whether the client must encrypt.
func (w *wire) needsTLS() bool {
	return w.options.RequireTLS || w.options.RequireTLSElsewhere && !isLoopback(w.RemoteAddr())
}

// sslRequestBytes is the length of a request for TLS: flags, packet size,
// character set and 23 zeroes.
const sslRequestBytes = 32

// prefixed is a socket of which something has been read ahead.
type prefixed struct {
	net.Conn
	first *bufio.Reader
}

// Read gives what was read ahead first.
func (p *prefixed) Read(b []byte) (int, error) {
	if p.first.Buffered() == 0 {
		return p.Conn.Read(b)
	}
	return p.first.Read(b[:min(len(b), p.first.Buffered())])
}

// TLS is the connection's encryption, nil if it has none.
func (w *wire) TLS() *tls.Conn {
	t, _ := w.stream.(*tls.Conn)
	return t
}
