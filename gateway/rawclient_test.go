package gateway

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
)

// rawClient speaks MySQL's packets without a driver, for what no driver does.
type rawClient struct {
	t        testing.TB
	conn     net.Conn
	in       *bufio.Reader
	sequence uint8
}

// dialRaw reads the server's greeting.
func dialRaw(t testing.TB, address string) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawClient{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// newRawReader is what a rawClient reads with.
func newRawReader(c net.Conn) *bufio.Reader { return bufio.NewReader(c) }

// enter logs in as root without a password, to no database.
func (c *rawClient) enter() {
	c.t.Helper()
	c.read()
	c.write(handshakeResponse("root"))
	for p := c.read(); p[0] != packetOK; p = c.read() {
		if p[0] == packetError {
			c.t.Fatalf("login: %q", p)
		}
		c.write(nil)
	}
}

// login logs in as root without a password.
func (c *rawClient) login() {
	c.t.Helper()
	c.read()
	c.write(handshakeResponse("root"))
	for {
		p := c.read()
		switch p[0] {
		case packetOK:
			c.command([]byte("\x02test"))
			if p := c.read(); p[0] != packetOK {
				c.t.Fatalf("use test: %q", p)
			}
			return
		case packetEnd:
			c.write(nil)
		default:
			c.t.Fatalf("login: %q", p)
		}
	}
}

// handshakeResponse is a client's first packet: protocol 4.1, no password.
func handshakeResponse(user string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 1<<9|1<<15|1<<19|1<<16)
	b = binary.LittleEndian.AppendUint32(b, 1<<24)
	b = append(b, 45)
	b = append(b, make([]byte, 23)...)
	b = append(append(b, user...), 0)
	b = append(b, 0)
	return append(append(b, "caching_sha2_password"...), 0)
}

// command begins a command.
func (c *rawClient) command(payload []byte) {
	c.sequence = 0
	c.write(payload)
}

// write sends a message, in as many packets as it takes.
func (c *rawClient) write(payload []byte) {
	c.t.Helper()
	for {
		n := min(len(payload), 1<<24-1)
		head := []byte{byte(n), byte(n >> 8), byte(n >> 16), c.sequence}
		c.sequence++
		if _, err := c.conn.Write(append(head, payload[:n]...)); err != nil {
			c.t.Fatalf("write: %v", err)
		}
		payload = payload[n:]
		if n < 1<<24-1 {
			return
		}
	}
}

// next reads a packet.
func (c *rawClient) next() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, err
	}
	if head[3] != c.sequence {
		return nil, fmt.Errorf("packet %d, want %d", head[3], c.sequence)
	}
	c.sequence++
	b := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(c.in, b)
	return b, err
}

func (c *rawClient) read() []byte {
	c.t.Helper()
	b, err := c.next()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return b
}

// errorCode is the code of an error packet, 0 for others.
func errorCode(p []byte) int {
	if len(p) < 3 || p[0] != packetError {
		return 0
	}
	return int(binary.LittleEndian.Uint16(p[1:]))
}

// query sends a statement and reads packets up to the end of the result, which
// it gives.
func (c *rawClient) query(q string) (packets int, last []byte) {
	c.t.Helper()
	c.command(append([]byte{3}, q...))
	return c.result()
}

// result reads the packets of a result: OK, an error, or columns and rows.
func (c *rawClient) result() (packets int, last []byte) {
	c.t.Helper()
	ends := 0
	for {
		p := c.read()
		packets++
		switch {
		case p[0] == packetError, packets == 1 && p[0] == packetOK:
			return packets, p
		case p[0] == packetEnd && len(p) < packetEndMax:
			if ends++; ends == 2 {
				return packets, p
			}
		}
	}
}

// prepare prepares a statement and gives its id.
func (c *rawClient) prepare(q string) uint32 {
	c.t.Helper()
	c.command(append([]byte{0x16}, q...))
	p := c.read()
	if p[0] != packetOK {
		c.t.Fatalf("prepare: %q", p)
	}
	id := binary.LittleEndian.Uint32(p[1:])
	columns, parameters := int(binary.LittleEndian.Uint16(p[5:])), int(binary.LittleEndian.Uint16(p[7:]))
	for _, n := range []int{parameters, columns} {
		for range n {
			c.read()
		}
		if n > 0 {
			c.read()
		}
	}
	return id
}

// execute asks for the execution of a statement without parameters.
func (c *rawClient) execute(id uint32, cursor byte) {
	b := binary.LittleEndian.AppendUint32([]byte{0x17}, id)
	c.command(append(b, cursor, 1, 0, 0, 0))
}

// fetch asks for rows of an open cursor, and reads them up to the end packet.
func (c *rawClient) fetch(id uint32, rows uint32) (got int, last []byte) {
	c.t.Helper()
	b := binary.LittleEndian.AppendUint32([]byte{0x1c}, id)
	c.command(binary.LittleEndian.AppendUint32(b, rows))
	for {
		p := c.read()
		if p[0] == packetError || p[0] == packetEnd && len(p) < packetEndMax {
			return got, p
		}
		got++
	}
}
