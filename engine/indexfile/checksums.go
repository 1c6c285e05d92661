package indexfile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/zeebo/xxh3"
)

// VerifyChecksums reads every byte of the file and decodes none. It gives nil if and only
// if the bytes are still those that were opened, but for a chance of 2^-64: what was proven
// of them then holds still. What a faulty program wrote with right checksums is for Verify.
func (r *Reader) VerifyChecksums(ctx context.Context) error {
	return r.verifyBytes(ctx, r.verifySection)
}

// Pieces gives all bytes of the file, in order. A piece holds until take returns. What
// the disk does not give any more is an error, and so is one of take.
func (r *Reader) Pieces(take func(piece []byte) error) error {
	return r.unlessItFaults(func() error {
		for rest := r.data; len(rest) > 0; {
			piece := rest[:min(len(rest), pieceBytes)]
			if err := take(piece); err != nil {
				return err
			}
			rest = rest[len(piece):]
		}
		return nil
	})
}

// pieceBytes is how long a piece of Pieces is at most.
const pieceBytes = 256 << 10

// Seal is the checksum of the footer as it was opened, which has those of everything else
// in the file: files with equal seals have equal bytes, if VerifyChecksums says so of both.
func (r *Reader) Seal() uint64 { return r.seal }

// verifyBytes reads header, padding and footer, and has verify read each section.
func (r *Reader) verifyBytes(ctx context.Context, verify func(*section) error) error {
	switch size, err := r.file.Size(); {
	case err != nil:
		return err
	case size != r.Size():
		return r.corrupt("file", fmt.Sprintf("it has %d bytes, and had %d when it was opened", size, r.Size()))
	}
	return r.unlessItFaults(func() error { return r.verifyEach(ctx, verify) })
}

func (r *Reader) verifyEach(ctx context.Context, verify func(*section) error) error {
	if err := r.openHeader(r.data[:headerSize]); err != nil {
		return err
	}
	_, end, err := r.openTrailer(r.data)
	if err != nil {
		return err
	}
	if sealOf(r.data) != r.seal {
		return r.corrupt("footer", "it is another one than the file was opened with")
	}
	at := int64(headerSize)
	padding := func(to int64) error {
		for _, b := range r.data[at:to] {
			if b != 0 {
				return r.corrupt("padding", "bytes that should be zero")
			}
		}
		at = to
		return nil
	}
	for i := range r.sections {
		s := &r.sections[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := padding(align(at, sectionAlign)); err != nil {
			return err
		}
		if err := verify(s); err != nil {
			return err
		}
		at += s.info.stored
	}
	return padding(end)
}

// verifySection holds a section against its checksum.
func (r *Reader) verifySection(s *section) error {
	if xxh3.Hash(s.stored) != s.info.checksum {
		return r.corrupt(r.partName(s.info.kind, s.info.column), "checksum")
	}
	return nil
}

// sealOf is where the trailer has the checksum of the footer.
func sealOf(data []byte) uint64 {
	return binary.LittleEndian.Uint64(data[len(data)-trailerSize+24:])
}

// unlessItFaults makes an error of what else would end the process: a page of the mapping
// that the disk does not give any more, since the file was cut or the disk is broken.
func (r *Reader) unlessItFaults(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		var fault interface {
			runtime.Error
			Addr() uintptr
		}
		if e, isError := p.(error); !isError || !errors.As(e, &fault) {
			panic(p)
		}
		err = r.corrupt("file", "the disk does not give its bytes any more")
	}()
	return read()
}
