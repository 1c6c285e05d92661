package engine

import (
	"encoding/binary"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// packedKey is an insert id as groups take it. The forms of both are one. Of a text
// that is neither it says that it is long; what is short is packed by its text.
func packedKey(k indexfile.InsertKey) exec.PackedText {
	if k.Form == indexfile.FormText {
		return exec.PackedText{Form: exec.TextLong}
	}
	return exec.PackedText{Hi: k.Hi, Lo: k.Lo, Form: exec.TextForm(k.Form)}
}

// packedIngestID is an ingest id's 32 digits as groups take them.
func packedIngestID(id catalog.IngestID) exec.PackedText {
	var room [catalog.IngestIDSize]byte
	b, _ := id.AppendBinary(room[:0])
	return exec.PackedText{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:]), Form: exec.TextHex}
}

// packedInsertIDs are the insert ids of the rows [lo, hi).
func (f *file) packedInsertIDs(w *worker, lo, hi int, out []exec.PackedText) error {
	if cap(w.keys) < hi-lo {
		w.keys = make([]indexfile.InsertKey, hi-lo)
	}
	keys := w.keys[:hi-lo]
	if err := f.reader.InsertKeys(lo, keys); err != nil {
		return err
	}
	cursor := f.reader.Cursor() // in which texts one after the other are cheap
	for i, k := range keys {
		if out[i] = packedKey(k); k.Form != indexfile.FormText {
			continue
		}
		text, err := cursor.InsertID(lo + i)
		if err != nil {
			return err
		}
		out[i] = exec.PackText(text)
	}
	return nil
}

// packedInsertIDs are the insert ids of the rows [lo, hi), which the tail has keys and
// texts of.
func (h *heldRows) packedInsertIDs(lo, hi int, out []exec.PackedText) {
	known, texts := h.view.tail.columns.known()
	for row := lo; row < hi; row++ {
		n := known.at(uint32(row))
		if n.form == indexfile.FormText {
			size := int(texts[n.text])
			out[row-lo] = exec.PackText(textOf(texts[n.text+1:][:size]))
			continue
		}
		out[row-lo] = packedKey(indexfile.InsertKey{Hi: n.insert.hi, Lo: n.insert.lo, Form: n.form})
	}
}
