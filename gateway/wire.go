package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dolthub/vitess/go/mysql"
)

// Limits of a connection.
const (
	// DefaultMaxPacket is the longest statement or row that a client may send:
	// MySQL's max_allowed_packet.
	DefaultMaxPacket = 64 << 20
	// maxHandshakePacket bounds what a client may send before it is known.
	maxHandshakePacket = 64 << 10
	// maxErrorPacket bounds the packets that are rewritten; longer ones pass as
	// they are.
	maxErrorPacket = 64 << 10
	// loadTimeout is how long a client that sends a file may send nothing of it.
	loadTimeout = time.Minute
	// wireBuffer is what is read ahead of a connection.
	wireBuffer = 16 << 10
)

// errSentAhead says, to whoever watches a client while its statement runs, that the
// client has sent the next one, as some drivers do for a batch. It stays unread.
var errSentAhead = errors.New("the client sent a command ahead")

// errHandshake ends a connection that does not speak the protocol.
var errHandshake = errors.New("the client does not speak the MySQL protocol")

// wire is the stream of MySQL packets between a client's socket and the
// protocol library above it, which reads and writes it as if it were the socket.
//
//	packet: length (3 bytes, little-endian), sequence number, payload
//
// It stands where the library offers no seam. It ends TLS itself, so that a
// client without TLS can be turned away before it has said anything. It cuts
// messages at their limit before they are in memory, and lets the library see
// the rest as if nothing more had come. It replaces the packet that ends a
// result by an error, for an error that comes after the first rows, gives OK
// packets their info, and puts MySQL's codes into errors the library made. And
// it knows whether an execution asks for a cursor.
//
// Packets that are removed or added shift the sequence numbers: the library's
// number is the client's minus shift.
type wire struct {
	net.Conn // the socket: its addresses and deadlines
	stream   io.ReadWriter
	source   *bufio.Reader
	options  *wireOptions
	closed   func()      // called once, when the connection is closed
	entered  func()      // called once, when the client has logged in
	taker    resultTaker // of the rows of a connection inside the process; nil for none
	once     sync.Once

	// What Read is in the middle of. Read is called by one goroutine at a time.
	header  []byte // rewritten bytes that are still to be given
	body    int    // bytes of the packet that are still to be given
	more    bool   // the message goes on in the next packet
	message int    // bytes of the message so far

	// What Write is in the middle of. Write is called by one goroutine at a time.
	outBody int    // bytes of the packet that pass as they are
	outMore bool   // the next packet continues the last one
	held    []byte // the beginning of a packet that has not come far enough to be judged
	pending []byte // goes to the client with what is written next
	corked  bool   // what is written is added to pending

	// changeUser logs the client in anew; changing is set while it does.
	changeUser func(user, database string) error
	changing   bool

	watching atomic.Bool // a query is running and its watcher reads
	loading  atomic.Bool // the client is sending a file

	// mu guards what the reader, the writer and the handler share.
	mu       sync.Mutex
	phase    wirePhase
	shift    uint8
	sequence uint8 // of the last packet in either direction, as the client counts
	command  byte
	cursor   bool
	oversize bool
	longData int             // bytes sent as long data for the next execution
	failure  *mysql.SQLError // takes the place of the packet that ends the result
	fetching *mysql.SQLError // does so when the open cursor is read
	info     *okInfo         // goes into the next OK packet
	idle     bool            // Read waits for a command
	// sendsFiles is set when the client can send files for LOAD DATA.
	sendsFiles bool
	// secured is set from the request for TLS until the greeting that follows it.
	secured  bool
	draining bool
}

// wirePhase is how far a connection has come.
type wirePhase uint8

const (
	wireGreeting wirePhase = iota // the server's greeting and the client's answer
	wireLogin                     // after the client's first packet
	wireCommand                   // the client's commands
)

// okInfo is what an OK packet says beside its counts.
type okInfo struct {
	text     string
	warnings uint16
}

// wireOptions are those of all connections of a server.
type wireOptions struct {
	TLS        *tls.Config
	RequireTLS bool
	// RequireTLSElsewhere is RequireTLS for clients on other machines.
	RequireTLSElsewhere bool
	MaxPacket           func() int
	LoginTimeout        time.Duration
	IdleTimeout         func() time.Duration
	WriteTimeout        time.Duration
	// Preparable gives the text to prepare in place of another; nil changes none.
	Preparable func(string) string
	// MapError gives the code, state and text of an error that the library made.
	MapError func(code uint16, state, text string) *mysql.SQLError
}

func newWire(c net.Conn, o *wireOptions) *wire {
	w := &wire{Conn: c, stream: c, source: bufio.NewReaderSize(c, wireBuffer), options: o}
	if p, ok := c.(*pipe); ok {
		w.taker = p.taker
	}
	if o.LoginTimeout > 0 {
		c.SetReadDeadline(time.Now().Add(o.LoginTimeout))
	}
	return w
}

// wireOf is the stream below a connection of the library.
func wireOf(c *mysql.Conn) *wire { return c.Conn.(*wire) }

// Close ends the connection. It may be called more than once, from anywhere.
func (w *wire) Close() error {
	err := net.ErrClosed
	w.once.Do(func() {
		err = w.Conn.Close()
		if w.closed != nil {
			w.closed()
		}
	})
	return err
}

// Read gives the library the client's packets.
func (w *wire) Read(p []byte) (int, error) {
	for {
		switch {
		case len(p) == 0:
			return 0, nil
		case len(w.header) > 0:
			n := copy(p, w.header)
			w.header = w.header[n:]
			return n, nil
		case w.body > 0:
			n, err := w.source.Read(p[:min(len(p), w.body)])
			w.body -= n
			return n, err
		default:
			if err := w.nextPacket(); err != nil {
				return 0, err
			}
		}
	}
}

// nextPacket reads a packet's header and decides what the library sees of it.
func (w *wire) nextPacket() error {
	h, err := w.peekHeader()
	if err != nil {
		return err
	}
	length, sequence := packetLength(h[:]), h[3]
	if secured, err := w.greeting(length, sequence); secured || err != nil {
		return err
	}
	continued := w.more
	w.more = length == mysql.MaxPacketSize
	if !continued {
		w.message = 0
		keep, err := w.startMessage(length, sequence)
		if err != nil {
			return err
		}
		if !keep {
			w.source.Discard(len(h))
			_, err := w.discard(length)
			return err
		}
	}
	w.source.Discard(len(h))
	if !continued && w.changingUser(sequence) {
		return w.readChangeUser(length, sequence)
	}
	if !continued && w.preparing(length, sequence) {
		return w.readPrepare(length, sequence)
	}

	if w.message+length > w.options.MaxPacket() || !continued && w.prepareTooLong(length, sequence) {
		return w.cutMessage(length, sequence, continued)
	}
	w.message += length
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sequence = sequence
	w.header = append(w.header[:0], h[0], h[1], h[2], sequence-w.shift)
	w.body = length
	return nil
}

// cutMessage throws away what is left of a message that is too long, beginning
// with the packet whose header has been read, and then lets the library see an
// end: of its command alone, or of what it has seen of it.
func (w *wire) cutMessage(length int, sequence uint8, continued bool) error {
	w.header = append(w.header[:0], 0, 0, 0, 0)
	if !continued {
		command, err := w.source.ReadByte()
		if err != nil {
			return err
		}
		w.header = finishPacket(append(w.header, command))
		length--
	}
	packets, err := w.discard(length)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.oversize = true
	w.header[3] = sequence - w.shift
	w.shift += packets
	w.sequence = sequence + packets
	return nil
}

// discard throws away the rest of a message, and counts the packets after this one.
func (w *wire) discard(length int) (packets uint8, err error) {
	for {
		if _, err := w.source.Discard(length); err != nil {
			return 0, err
		}
		if !w.more {
			return packets, nil
		}
		var h [4]byte
		if _, err := io.ReadFull(w.source, h[:]); err != nil {
			return 0, err
		}
		packets++
		length = packetLength(h[:])
		w.more = length == mysql.MaxPacketSize
	}
}

// peekHeader waits for a packet's header without taking it.
func (w *wire) peekHeader() ([4]byte, error) {
	loading, watching := w.loading.Load(), w.watching.Load()
	boundary := !w.more && !watching && !loading
	switch {
	case boundary:
		if err := w.enterIdle(); err != nil {
			return [4]byte{}, err
		}
	case loading:
		w.Conn.SetReadDeadline(time.Now().Add(loadTimeout))
	}
	b, err := w.source.Peek(4)
	if boundary {
		w.leaveIdle()
	}
	if err != nil {
		if len(b) == 0 && (errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || boundary && isTimeout(err)) {
			return [4]byte{}, io.EOF
		}
		return [4]byte{}, err
	}
	if watching && !loading && !w.more {
		return [4]byte{}, errSentAhead
	}
	return [4]byte(b), nil
}

// startMessage looks at the beginning of a message of the client. It reports
// whether the library shall see it.
func (w *wire) startMessage(length int, sequence uint8) (keep bool, err error) {
	w.mu.Lock()
	command := w.phase == wireCommand && sequence == 0 && !w.loading.Load()
	w.mu.Unlock()
	if !command {
		return true, nil
	}
	if length == 0 {
		return false, errHandshake
	}
	b, err := w.source.Peek(4 + min(length, 6))
	if err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shift, w.oversize, w.cursor, w.failure, w.info = 0, false, false, nil, nil
	w.command = b[4]
	switch w.command {
	case comStatistics:
		return false, w.answerStatistics(sequence)
	case mysql.ComStmtFetch:
		w.failure = w.fetching
	case mysql.ComStmtExecute:
		w.fetching = nil
		w.cursor = len(b) > 9 && b[9]&mysql.ReadOnly != 0
		w.oversize = w.longData > w.options.MaxPacket()
		w.longData = 0
	case mysql.ComStmtReset, mysql.ComStmtClose, mysql.ComResetConnection:
		w.longData = 0
	case mysql.ComStmtSendLongData:
		// It has no answer, so what is too much is kept from the library and
		// the execution that it is for is refused.
		w.longData += length
		return w.longData <= w.options.MaxPacket(), nil
	}
	return true, nil
}

// authenticated begins the phase of commands.
func (w *wire) authenticated() {
	w.mu.Lock()
	w.phase = wireCommand
	w.mu.Unlock()
	w.Conn.SetReadDeadline(time.Time{})
	if w.entered != nil {
		w.entered()
	}
}

// asksCursor reports whether the running execution asked for a cursor.
func (w *wire) asksCursor() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cursor
}

// canSendFiles reports whether the client offered to send files.
func (w *wire) canSendFiles() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sendsFiles
}

// tooBig reports whether the running command was longer than it may be.
func (w *wire) tooBig() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.oversize
}

// failResult replaces the packet that ends the running result by an error. The
// rows before it must have been written out.
func (w *wire) failResult(err *mysql.SQLError) {
	w.mu.Lock()
	w.failure = err
	w.mu.Unlock()
}

// failCursor ends the cursor that is open or being opened by an error.
func (w *wire) failCursor(err *mysql.SQLError) {
	w.mu.Lock()
	w.failure, w.fetching = err, err
	w.mu.Unlock()
}

// describeOK puts text and a number of warnings into the next OK packet.
func (w *wire) describeOK(text string, warnings uint16) {
	w.mu.Lock()
	w.info = &okInfo{text: text, warnings: warnings}
	w.mu.Unlock()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// String names the client in logs.
func (w *wire) String() string { return fmt.Sprint(w.RemoteAddr()) }
