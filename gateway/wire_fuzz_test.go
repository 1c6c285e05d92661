package gateway

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// FuzzWire sends any bytes in the place of a log-in, or behind one: the server may say
// what it likes, and goes on with others.
func FuzzWire(f *testing.F) {
	packet := func(sequence byte, payload string) string {
		return string([]byte{byte(len(payload)), byte(len(payload) >> 8), byte(len(payload) >> 16), sequence}) + payload
	}
	hello := string(handshakeResponse("root"))
	for _, s := range []string{
		packet(1, hello), packet(1, hello) + packet(3, ""), packet(1, hello[:31]), packet(1, hello[:32]), packet(1, ""), "\xff\xff\xff\x01", packet(1, "\x00\x08\x00\x00"+hello[4:32]), "GET / HTTP/1.1\r\n\r\n",
	} {
		f.Add(false, []byte(s))
	}
	for _, s := range []string{
		packet(0, "\x03SELECT 1"), packet(0, "\x16SELECT ?") + packet(0, "\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00"), packet(0, "\x02test"),
		packet(0, "\x11root\x00\x00\x00"), packet(0, "\x11root\x00\x03abctest\x00\x2d\x00caching_sha2_password\x00") + packet(2, ""), packet(0, "\x11"), packet(0, "\x09"), packet(0, "\x1f"), packet(0, "\x0e"),
		packet(0, "\x18\x01\x00\x00\x00\x00\x00abc"), packet(0, "\x19\x01\x00\x00\x00"), packet(0, "\x1c\x01\x00\x00\x00\x05\x00\x00\x00"), packet(0, "\x04events\x00"), packet(0, "\x1b\x00\x00"), packet(0, ""), packet(7, "\x03SELECT 1"), packet(0, "\x03SELECT '"), packet(0, "\x12"),
	} {
		f.Add(true, []byte(s))
	}
	w := newSQLWorld(f)
	address := w.listen()
	f.Fuzz(func(t *testing.T, inside bool, data []byte) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Minute)) // for failure alone
		if inside {
			c := &rawClient{t: t, conn: conn, in: newRawReader(conn)}
			c.enter()
		}
		if bytes.Contains(bytes.ToLower(data), []byte("sleep")) {
			return
		}
		conn.Write(data) // the server may have hung up
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
		other := dialRaw(t, address)
		other.enter()
		other.conn.Close()
	})
}
