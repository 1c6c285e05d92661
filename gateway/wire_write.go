package gateway

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/dolthub/vitess/go/mysql"
)

// The first bytes of the packets that are looked at.
const (
	packetOK       = 0x00
	packetMore     = 0x01 // of a login
	packetGreeting = 0x0a
	packetEnd      = 0xfe // if it is shorter than packetEndMax
	packetError    = 0xff
	packetEndMax   = 9
)

// Write takes the library's packets: most pass as they are, without a copy.
func (w *wire) Write(p []byte) (int, error) {
	given := len(p)
	if len(w.held) > 0 {
		p = append(w.held, p...)
		w.held = nil
	}
	w.mu.Lock()
	shift, touched := w.shift, w.shift != 0 || w.failure != nil || w.info != nil
	phase := w.phase
	w.mu.Unlock()

	sent := 0 // p[:sent] is on its way
	for i := 0; i < len(p); {
		if w.outBody > 0 {
			n := min(w.outBody, len(p)-i)
			w.outBody -= n
			i += n
			continue
		}
		packet, whole := cutPacket(p[i:])
		if len(packet) < 5 && !whole {
			if err := w.send(p[sent:i]); err != nil {
				return 0, err
			}
			w.held = append([]byte(nil), packet...)
			return given, nil
		}
		length := packetLength(packet)
		continued := w.outMore
		w.outMore = length == mysql.MaxPacketSize
		w.note(packet[3] + shift)
		if continued || length > maxErrorPacket || !w.looksAt(packet, touched, phase) {
			if shift != 0 {
				w.pending = append(w.pending, p[sent:i]...)
				w.pending = append(w.pending, packet[0], packet[1], packet[2], packet[3]+shift)
				sent = i + 4
			}
			w.outBody = length
			i += 4
			continue
		}
		if err := w.send(p[sent:i]); err != nil {
			return 0, err
		}
		if !whole {
			w.outMore = continued
			w.held = append([]byte(nil), packet...)
			return given, nil
		}
		if err := w.send(w.rewrite(append([]byte(nil), packet...), shift)); err != nil {
			return 0, err
		}
		i += len(packet)
		sent = i
		w.mu.Lock()
		touched = w.shift != 0 || w.failure != nil || w.info != nil
		w.mu.Unlock()
	}
	return given, w.send(p[sent:])
}

// send writes what is pending and p to the client, which may not block for ever.
func (w *wire) send(p []byte) error {
	if w.corked {
		w.pending = append(w.pending, p...)
		return nil
	}
	if len(w.pending) > 0 {
		p = append(w.pending, p...)
		if w.pending = p[:0]; cap(p) > keepBuffer {
			w.pending = nil
		}
	}
	if len(p) == 0 {
		return nil
	}
	if w.options.WriteTimeout > 0 {
		w.Conn.SetWriteDeadline(time.Now().Add(w.options.WriteTimeout))
	}
	_, err := w.stream.Write(p)
	return err
}

// note remembers the sequence number of a packet to the client.
func (w *wire) note(sequence uint8) {
	w.mu.Lock()
	w.sequence = sequence
	w.mu.Unlock()
}

// cutPacket gives the packet at the beginning of p, or as much of it as is there.
func cutPacket(p []byte) (packet []byte, whole bool) {
	if len(p) < 4 {
		return p, false
	}
	end := 4 + packetLength(p)
	if len(p) < end {
		return p, false
	}
	return p[:end], true
}

func packetLength(p []byte) int { return int(p[0]) | int(p[1])<<8 | int(p[2])<<16 }

// looksAt reports whether a packet may have to be rewritten.
func (w *wire) looksAt(packet []byte, touched bool, phase wirePhase) bool {
	if len(packet) < 5 {
		return false
	}
	switch packet[4] {
	case packetError:
		return true
	case packetGreeting:
		return phase == wireGreeting
	case packetEnd:
		return touched && packetLength(packet) < packetEndMax
	case packetOK:
		return touched
	}
	return false
}

// rewrite gives a whole packet as the client shall see it. It may change packet.
func (w *wire) rewrite(packet []byte, shift uint8) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	packet[3] += shift
	switch packet[4] {
	case packetGreeting:
		return w.offerTLS(packet)
	case packetError:
		switch {
		case w.oversize:
			return errorPacket(packet[3], errPacketTooLarge)
		case w.failure != nil:
			return errorPacket(packet[3], w.failure)
		}
		return w.mapError(packet)
	case packetEnd:
		if w.failure != nil && w.phase == wireCommand {
			return errorPacket(packet[3], w.failure)
		}
	case packetOK:
		if w.info != nil {
			return okPacket(packet, w.info)
		}
	}
	return packet
}

// offerTLS sets the flag of the greeting that says that the server speaks TLS.
//
//	protocol version (1), server version (to a zero), connection (4),
//	first part of the scramble (8), zero (1), lower flags (2), …
func (w *wire) offerTLS(packet []byte) []byte {
	if w.options.TLS == nil {
		return packet
	}
	version := bytes.IndexByte(packet[5:], 0)
	at := 5 + version + 1 + 4 + 8 + 1
	if version < 0 || at+2 > len(packet) {
		return packet
	}
	flags := binary.LittleEndian.Uint16(packet[at:]) | mysql.CapabilityClientSSL
	binary.LittleEndian.PutUint16(packet[at:], flags)
	return packet
}

// mapError gives an error packet the code that MySQL has for it.
//
//	0xff, code (2), '#', state (5), text
func (w *wire) mapError(packet []byte) []byte {
	body := packet[4:]
	if len(body) < 9 || body[3] != '#' || w.options.MapError == nil {
		return packet
	}
	code := binary.LittleEndian.Uint16(body[1:])
	return errorPacket(packet[3], w.options.MapError(code, string(body[4:9]), string(body[9:])))
}

// errorPacket is a whole packet that says err.
func errorPacket(sequence uint8, err *mysql.SQLError) []byte {
	b := []byte{0, 0, 0, sequence, packetError}
	b = binary.LittleEndian.AppendUint16(b, uint16(err.Num))
	b = append(b, '#')
	b = append(b, err.State...)
	text := err.Message
	if room := maxErrorPacket - len(b); len(text) > room {
		text = text[:room]
	}
	return finishPacket(append(b, text...))
}

// greetingError is a packet that says err in place of the server's greeting,
// where no SQLSTATE belongs yet.
func greetingError(err *mysql.SQLError) []byte {
	b := []byte{0, 0, 0, 0, packetError}
	b = binary.LittleEndian.AppendUint16(b, uint16(err.Num))
	return finishPacket(append(b, err.Message...))
}

// okPacket gives an OK packet its number of warnings and its text.
//
//	0x00, affected rows (length-encoded), last insert id (length-encoded),
//	flags (2), warnings (2), text
func okPacket(packet []byte, info *okInfo) []byte {
	at := 5
	for range 2 {
		if at >= len(packet) {
			return packet
		}
		at += lengthEncodedSize(packet[at])
	}
	if at+4 > len(packet) {
		return packet
	}
	b := append([]byte(nil), packet[:at+2]...)
	b = binary.LittleEndian.AppendUint16(b, info.warnings)
	if info.text != "" {
		b = appendLengthEncoded(b, uint64(len(info.text)))
		b = append(b, info.text...)
	}
	return finishPacket(b)
}

// finishPacket fills in the length.
func finishPacket(b []byte) []byte {
	n := len(b) - 4
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
	return b
}

// lengthEncodedSize is the size of a length-encoded integer that starts with b.
func lengthEncodedSize(b byte) int {
	switch b {
	case 0xfc:
		return 3
	case 0xfd:
		return 4
	case 0xfe:
		return 9
	}
	return 1
}

func appendLengthEncoded(b []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(b, byte(n))
	case n < 1<<16:
		return append(b, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(b, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xfe), n)
}

// writeRaw sends a packet that the library knows nothing of, past all else.
func (w *wire) writeRaw(packet []byte) error {
	if w.options.WriteTimeout > 0 {
		w.Conn.SetWriteDeadline(time.Now().Add(w.options.WriteTimeout))
	}
	_, err := w.stream.Write(packet)
	return err
}

// writeLogin sends a packet of the login that the library has no function for.
func (w *wire) writeLogin(payload []byte) error {
	w.mu.Lock()
	w.sequence++
	packet := finishPacket(append([]byte{0, 0, 0, w.sequence}, payload...))
	w.shift++
	w.mu.Unlock()
	return w.send(packet)
}
