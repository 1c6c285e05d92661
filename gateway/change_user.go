package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"time"

	"github.com/dolthub/vitess/go/mysql"
)

// COM_CHANGE_USER, by which pools of connections make one another user's, or a new one
// of the same: the user logs in anew, and has a new session. The protocol library does
// not know the command, so the wire answers it.
//
//	0x11, user (to a zero), answer (length, bytes), database (to a zero), character set (2), method (to a zero), …
//
// The answer is not looked at: it belongs to a scramble of long ago, so the client is
// asked for another, as MySQL may do.

// comChangeUser is the command.
const comChangeUser = 0x11

// changingUser reports whether the packet is the command.
func (w *wire) changingUser(sequence uint8) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return sequence == 0 && w.command == comChangeUser && w.phase == wireCommand && !w.loading.Load() && w.changeUser != nil
}

// readChangeUser reads the command whose header has been read, and answers it. A client
// that may not is told so, and the connection ends: whose it would be is open.
func (w *wire) readChangeUser(length int, sequence uint8) error {
	if length > maxHandshakePacket {
		return errHandshake
	}
	b := make([]byte, length)
	w.Conn.SetReadDeadline(time.Now().Add(w.options.LoginTimeout))
	defer w.Conn.SetReadDeadline(time.Time{})
	if _, err := io.ReadFull(w.source, b); err != nil {
		return err
	}
	w.note(sequence)
	user, rest, ok := bytes.Cut(b[1:], []byte{0})
	if !ok || len(rest) == 0 || len(rest) < 1+int(rest[0]) {
		return errHandshake
	}
	database, _, _ := bytes.Cut(rest[1+int(rest[0]):], []byte{0})
	w.changing = true
	err := w.changeUser(string(user), string(database))
	w.changing = false
	if err != nil {
		failure, ok := err.(*mysql.SQLError)
		if !ok {
			return err
		}
		w.mu.Lock()
		w.sequence++
		packet := errorPacket(w.sequence, failure)
		w.mu.Unlock()
		if err := w.writeRaw(packet); err != nil {
			return err
		}
		return io.EOF
	}
	done := binary.LittleEndian.AppendUint16([]byte{packetOK, 0, 0}, mysql.ServerStatusAutocommit)
	return w.writeLogin(append(done, 0, 0))
}

// loginPacket reads a packet of a log-in: through the library, or, while a user is
// changed, past it.
func (w *wire) loginPacket(c *mysql.Conn) ([]byte, error) {
	if !w.changing {
		return c.ReadPacket(context.Background())
	}
	var head [4]byte
	if _, err := io.ReadFull(w.source, head[:]); err != nil {
		return nil, err
	}
	length := packetLength(head[:])
	if length > maxHandshakePacket {
		return nil, errHandshake
	}
	w.note(head[3])
	b := make([]byte, length)
	_, err := io.ReadFull(w.source, b)
	return b, err
}

// changeUser logs a connection's client in anew, into a new session.
func (h *handler) changeUser(c *mysql.Conn, user, database string) (err error) {
	defer h.guard(&err)
	w := wireOf(c)
	k := connectionOf(c)
	k.session.Lock()
	defer k.session.Unlock()
	var method mysql.AuthMethod = &h.auth.sha2
	if h.auth.native.HandleUser(c, user) {
		method = &h.auth.native
	}
	salt, err := method.AuthPluginData()
	if err != nil {
		return err
	}
	ask := append(append([]byte{packetEnd}, method.Name()...), 0)
	if err := w.writeLogin(append(ask, salt...)); err != nil {
		return err
	}
	answer, err := w.loginPacket(c)
	if err != nil {
		return err
	}
	who, err := method.HandleAuthPluginData(c, user, salt, answer, c.RemoteAddr())
	if err != nil {
		return err
	}
	if k.user != nil {
		h.users.remove(*k.user)
		k.user = nil
	}
	c.User, c.UserData = user, who
	if err := h.addUser(c); err != nil {
		return err
	}
	clear(k.statements)
	clear(c.PrepareData)
	k.plans.forget()
	c.StatusFlags |= mysql.ServerStatusAutocommit
	h.engine.CloseSession(c.ConnectionID)
	if err := h.sessions.NewSession(h.base, c); err != nil {
		return h.clientError(err)
	}
	if err := h.sessions.ConnReady(h.base, c); err != nil {
		return h.clientError(err)
	}
	if database != "" {
		if err := h.sessions.SetDB(h.base, c, database); err != nil {
			return h.clientError(err)
		}
	}
	now := userOf(c)
	h.logins.succeeded(c, now.name, now.host)
	return nil
}
