package engine

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"path"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// prove reads the new file back from disk and compares what is there with what
// its sources hold: the records' digest, their order, and the duplicates, which
// are counted in another way than the build's. In 2016 nobody did, and a day of
// data was lost. If anything differs the file is not used, the sources stay, and
// an alarm is raised, see suspect.
func (b *build) prove(ctx context.Context) error {
	if b.faults().unproven() {
		return nil
	}
	err := b.reread(ctx)
	if isDamage(err) {
		return fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	return err
}

func (b *build) reread(ctx context.Context) error {
	r, err := indexfile.Open(b.engine.fs, path.Join(b.view.shard.dir, b.newName()))
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.VerifyColumns(ctx); err != nil {
		return err
	}
	p := prover{reader: r, cursor: r.Cursor(), skipDuplicates: b.engine.ignoreDuplicates}
	if !p.skipDuplicates {
		p.ids = newIDFilter(r.Rows())
	}
	if err := p.read(ctx, b.job); err != nil {
		return err
	}
	encoded, err := r.Tombstones()
	if err != nil {
		return err
	}
	marks, err := decodeTombstones(encoded)
	if err != nil {
		return err
	}
	got := p.digest.Add(marks.digest())
	if got != b.want {
		return fmt.Errorf("%w: the file holds %s, its sources %s", ErrUnproven, got, b.want)
	}
	if err := b.proveDots(r.Meta().LogCut); err != nil {
		return err
	}
	hidden, err := r.Duplicates()
	if err != nil {
		return err
	}
	slices.Sort(p.hidden)
	if !slices.Equal(hidden, p.hidden) {
		return fmt.Errorf("%w: the file lists %d duplicates, its rows hold %d or others", ErrUnproven, len(hidden), len(p.hidden))
	}
	b.ids = p.ids
	return b.sum(ctx, r)
}

// sum notes the sums of the bytes that were proven, which backups are made by.
func (b *build) sum(ctx context.Context, r *indexfile.Reader) error {
	sums, err := sumFile(ctx, r, func(int) error { return ctx.Err() })
	b.sums = &sums
	return err
}

// proveDots holds the dots that the file names against those of its sources, taken
// anew.
func (b *build) proveDots(logCut []byte) error {
	upTo, dots, err := decodeCut(logCut)
	if err != nil {
		return err
	}
	var want dot.Set
	for _, r := range b.refs {
		want.Add(r.dot) // which does nothing for a batch without a name
	}
	for _, f := range b.sources {
		of := b.engine.dotsOf(f)
		want.AddSet(&of)
	}
	if !dots.Equal(&want) || upTo != b.cut() {
		return fmt.Errorf("%w: the file names the batches %v up to %v, its sources %v up to %v", ErrUnproven, dots, upTo, want, b.cut())
	}
	return nil
}

// prover reads a file's rows and reckons their digest and duplicates. Where the
// build finds copies by a hash table, it sorts.
type prover struct {
	reader         *indexfile.Reader
	cursor         *indexfile.Cursor
	digest         event.Digest
	hidden         []uint32
	skipDuplicates bool
	ids            *idFilter // that the rows' insert ids are added to, or nil
	unadded        []uint32  // the hashes of those that are not yet

	user    string
	without bool // some rows have no insert id
	// keys are the user's rows with an insert id: the upper half is that of its
	// copyHash, the lower the row.
	keys        []uint64
	few         [16]uint64  // scratch, zero
	once, twice exec.Bitmap // scratch
	pairs       [][2]uint32 // scratch: rows of the user with one hash

	canonical []byte // scratch: the canonical bytes of a row
}

func (p *prover) read(ctx context.Context, j *job) error {
	var row indexfile.Row
	order, err := p.reader.OrderCheck()
	if err != nil {
		return err
	}
	encoder := p.cursor.Encoder(event.AppendCanonicalProperty)
	p.canonical = make([]byte, 0, canonicalRoom)
	for i := range p.reader.Rows() {
		if i%pieceRows == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			j.done.Add(int64(min(pieceRows, p.reader.Rows()-i)))
			p.fillFilter()
		}
		k, err := encoder.Head(i, &row)
		if err != nil {
			return err
		}
		if err := order.Row(&row); err != nil {
			return err
		}
		if err := p.add(encoder, i, &row); err != nil {
			return err
		}
		if p.skipDuplicates {
			continue
		}
		if row.DistinctID != p.user || i == 0 {
			if err := p.endUser(); err != nil {
				return err
			}
			p.user = row.DistinctID
		}
		if k.Form == indexfile.FormNone {
			p.without = true
			continue
		}
		hash := copyHashOf(keyHash(k))
		p.keys = append(p.keys, hash|uint64(uint32(i)))
		p.unadded = append(p.unadded, uint32(hash>>32))
	}
	if err := order.End(); err != nil {
		return err
	}
	p.fillFilter()
	return p.endUser()
}

// fillFilter adds the insert ids of the last rows to the filter: some at a time, since each
// is elsewhere in memory.
func (p *prover) fillFilter() {
	if p.ids != nil {
		p.ids.add(p.unadded)
		p.ids.some = p.ids.some || p.without
	}
	p.unadded = p.unadded[:0]
}

// canonicalRoom is more than most events' canonical bytes take.
const canonicalRoom = 8 << 10

// add adds row i to the digest. Its properties are read anew, code by code, and each
// value of a dictionary is put into its canonical bytes once.
func (p *prover) add(encoder *indexfile.Encoder, i int, row *indexfile.Row) (err error) {
	var n int
	b := event.AppendCanonicalHead(p.canonical[:0], (*event.Event)(row), 0)
	head := len(b)
	if b, n, err = encoder.Append(b, i); err != nil {
		return err
	}
	event.SetCanonicalProperties(b[:head], n)
	p.digest.AddCanonical(b)
	p.canonical = b
	return nil
}

// endUser finds the duplicates of a user's rows.
func (p *prover) endUser() error {
	keys := p.keys
	p.keys = p.keys[:0]
	if len(keys) < 2 {
		return nil
	}
	if len(keys) < manyKeys {
		if !p.perhapsTwice(keys) {
			return nil
		}
	} else {
		keys = p.candidates(keys)
	}
	slices.Sort(keys)
	for lo := 0; lo < len(keys); {
		hi := lo + 1
		for hi < len(keys) && keys[hi]>>32 == keys[lo]>>32 {
			hi++
		}
		if hi-lo > 1 {
			if err := p.hide(keys[lo:hi]); err != nil {
				return err
			}
		}
		lo = hi
	}
	return p.hidePairs()
}

// manyKeys is from how many on keys get a bitmap of their own.
const manyKeys = 32

// perhapsTwice reports whether a hash may be there twice among fewer than manyKeys: whether a
// bit is met a second time.
func (p *prover) perhapsTwice(keys []uint64) (twice bool) {
	const words = uint64(len(p.few))
	for _, k := range keys {
		word, bit := &p.few[k>>(32+6)%words], uint64(1)<<(k>>32%64)
		twice = twice || *word&bit != 0
		*word |= bit
	}
	for _, k := range keys {
		p.few[k>>(32+6)%words] = 0
	}
	return twice
}

// candidates leaves of manyKeys those whose hash may be there twice: the second
// time that a bit is met it is noted, and only keys with a noted bit are sorted.
func (p *prover) candidates(keys []uint64) []uint64 {
	const bitsPerKey = 16
	words := 1 << bits.Len(uint(len(keys)*bitsPerKey/64))
	mask := uint64(words*64 - 1)
	p.once, p.twice = p.once.Reset(words*64), p.twice.Reset(words*64)
	for _, k := range keys {
		bit := k >> 32 & mask
		p.twice[bit/64] |= p.once[bit/64] & (1 << (bit % 64))
		p.once[bit/64] |= 1 << (bit % 64)
	}
	kept := keys[:0]
	for _, k := range keys {
		if bit := k >> 32 & mask; p.twice[bit/64]>>(bit%64)&1 != 0 {
			kept = append(kept, k)
		}
	}
	return kept
}

// hide finds, among rows with one hash, those that the default policy hides: of
// the rows with one insert id and name all but the one with the least ingest id. Two
// rows, which nearly all are, are put aside for hidePairs.
func (p *prover) hide(keys []uint64) error {
	if len(keys) == 2 {
		p.pairs = append(p.pairs, [2]uint32{uint32(keys[0]), uint32(keys[1])})
		return nil
	}
	type copied struct {
		insertID, name string
		id             catalog.IngestID
		ordinal        uint32
	}
	all := make([]copied, 0, len(keys))
	for _, k := range keys {
		c := copied{ordinal: uint32(k)}
		insertID, err := p.cursor.InsertID(int(c.ordinal))
		if err != nil {
			return err
		}
		c.insertID = strings.Clone(insertID)
		if c.name, err = p.reader.Event(int(c.ordinal)); err != nil {
			return err
		}
		if c.id, err = p.reader.IngestID(int(c.ordinal)); err != nil {
			return err
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b copied) int {
		return cmp.Or(strings.Compare(a.insertID, b.insertID), strings.Compare(a.name, b.name),
			a.id.Compare(b.id), cmp.Compare(a.ordinal, b.ordinal))
	})
	for i := 1; i < len(all); i++ {
		if all[i].insertID == all[i-1].insertID && all[i].name == all[i-1].name {
			p.hidden = append(p.hidden, all[i].ordinal)
		}
	}
	return nil
}

// hidePairs is hide for the pairs of a user's rows, in the order of the file, in which
// texts are cheap to read.
func (p *prover) hidePairs() error {
	slices.SortFunc(p.pairs, func(a, b [2]uint32) int { return cmp.Compare(a[0], b[0]) })
	for _, pair := range p.pairs {
		if err := p.hidePair(int(pair[0]), int(pair[1])); err != nil {
			return err
		}
	}
	p.pairs = p.pairs[:0]
	return nil
}

// hidePair is hide for two rows.
func (p *prover) hidePair(a, b int) error {
	if same, err := p.cursor.SameInsertID(a, b); err != nil || !same {
		return err
	}
	nameA, err := p.reader.Event(a)
	if err != nil {
		return err
	}
	nameB, err := p.reader.Event(b)
	if err != nil || nameA != nameB {
		return err
	}
	idA, err := p.reader.IngestID(a)
	if err != nil {
		return err
	}
	idB, err := p.reader.IngestID(b)
	if err != nil {
		return err
	}
	if cmp.Or(idA.Compare(idB), cmp.Compare(a, b)) > 0 {
		b = a
	}
	p.hidden = append(p.hidden, uint32(b))
	return nil
}
