package gateway

// The rows of a result may be written past the library: it writes the columns
// before them and the packet that ends them, and never sees that its sequence
// numbers are shifted by theirs.

// cork keeps what is written from now on, so that it goes to the client together
// with what is written after uncork.
func (w *wire) cork() { w.corked = true }

// uncork ends cork. What was kept goes with the next bytes.
func (w *wire) uncork() { w.corked = false }

// sendRows sends whole packets, whose sequence numbers it puts in. The library
// must have written out what comes before them.
func (w *wire) sendRows(packets []byte) error {
	w.number(packets)
	return w.send(packets)
}

// holdRows is sendRows, together with the library's next packet.
func (w *wire) holdRows(packets []byte) error {
	w.cork()
	defer w.uncork()
	return w.sendRows(packets)
}

// number gives packets the next sequence numbers.
func (w *wire) number(packets []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 0; i < len(packets); i += packetHeader + packetLength(packets[i:]) {
		w.sequence++
		w.shift++
		packets[i+3] = w.sequence
	}
}
