package indexfile

import (
	"encoding/binary"
	"math"

	"arbor/catalog"
)

// footer says what a file holds and where. It is read when the file is opened.
type footer struct {
	version     uint32 // of the file
	rows, users int
	times       timesInfo
	ingest      ingestInfo
	insert      insertInfo
	meta        Meta // without what has parts of its own
	duplicates  int
	groups      int
	cross       int
	columns     []columnInfo // from columnEvent on
	sections    []sectionInfo
	pooled      []pooledPart
}

// sectionInfo is a part that stands by itself in the file. Sections follow each
// other, each at the next multiple of sectionAlign.
type sectionInfo struct {
	kind     partKind
	encoding uint8
	column   int
	stored   int64 // bytes in the file
	raw      int64 // bytes decoded
	checksum uint64
}

// pooledPart is a part in the pool. They follow each other there, each at the
// next multiple of poolAlign.
type pooledPart struct {
	kind   partKind
	column int
	raw    int
}

const (
	sectionAlign = 64
	poolAlign    = 8
)

func align(n, to int64) int64 { return (n + to - 1) / to * to }

// append encodes the footer.
func (f *footer) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(f.rows))
	b = binary.AppendUvarint(b, uint64(f.users))
	b = binary.AppendVarint(b, f.times.base)
	b = binary.AppendUvarint(b, uint64(f.times.unit))
	b = append(b, f.times.width)
	b = binary.AppendVarint(b, f.times.least)
	b = binary.AppendVarint(b, f.times.greatest)
	b = f.ingest.append(b, f.version)
	b = append(b, byte(f.insert.form))
	if f.version > 1 {
		b = f.insert.append(b)
	}
	b = f.appendMeta(b)
	b = binary.AppendUvarint(b, uint64(len(f.columns)-columnProperties+columnEvent))
	for i := range f.columns {
		b = f.columns[i].append(b, i+columnEvent, f.version)
	}
	b = binary.AppendUvarint(b, uint64(len(f.sections)))
	for _, s := range f.sections {
		b = append(b, byte(s.kind), s.encoding)
		b = binary.AppendUvarint(b, uint64(s.column))
		b = binary.AppendUvarint(b, uint64(s.stored))
		b = binary.AppendUvarint(b, uint64(s.raw))
		b = binary.LittleEndian.AppendUint64(b, s.checksum)
	}
	b = binary.AppendUvarint(b, uint64(len(f.pooled)))
	for _, p := range f.pooled {
		b = append(b, byte(p.kind))
		b = binary.AppendUvarint(b, uint64(p.column))
		b = binary.AppendUvarint(b, uint64(p.raw))
	}
	return b
}

// decode reads what append wrote. Strings alias the decoder's input.
func (f *footer) decode(d *decoder) (wrong string) {
	f.rows = d.count("rows", MaxRows)
	f.users = d.count("users", f.rows)
	if f.rows > 0 && f.users == 0 {
		d.fail("users")
	}
	f.times.base = d.varint("times: base")
	f.times.unit = int64(d.uvarint("times: unit in microseconds", uint64(catalog.Second)))
	f.times.width = d.byte("times: bits", 64)
	f.times.least = d.varint("times: least")
	f.times.greatest = d.varint("times: greatest")
	if f.times.unit == 0 || !validWidth(f.times.width) || f.times.least > f.times.greatest {
		d.fail("times")
	}
	f.ingest.decode(d, f.version)
	f.insert.form = Form(d.byte("insert ids: form packed", uint8(FormHexUpper)))
	if f.version > 1 {
		f.insert.decode(d)
	}
	f.decodeMeta(d)
	properties := d.items("properties", 4)
	if d.wrong != "" {
		return d.wrong
	}
	f.columns = make([]columnInfo, columnProperties-columnEvent+properties)
	for i := range f.columns {
		f.columns[i].decode(d, i+columnEvent, f)
		if c := i + columnEvent; c > columnProperties && f.columns[i].name <= f.columns[i-1].name {
			d.fail("order of properties")
		}
	}
	f.sections = make([]sectionInfo, d.items("sections", 13))
	for i := range f.sections {
		s := &f.sections[i]
		s.kind = partKind(d.named("section: part", math.MaxUint8, partName))
		s.encoding = d.byte("section: encoding", encodingZstd)
		s.column = d.count("section: column", len(f.columns))
		s.stored = int64(d.uvarint("section: bytes", MaxFileBytes))
		s.raw = int64(d.uvarint("section: bytes decoded", MaxFileBytes))
		s.checksum = d.uint64("section: checksum")
	}
	f.pooled = make([]pooledPart, d.items("pool", 3))
	for i := range f.pooled {
		p := &f.pooled[i]
		p.kind = partKind(d.named("pooled: part", math.MaxUint8, partName))
		p.column = d.count("pooled: column", len(f.columns))
		if p.raw = d.count("pooled: bytes", maxPooled); p.raw == 0 {
			d.fail("pooled: bytes")
		}
	}
	return d.end()
}

func (c *columnInfo) append(b []byte, column int, version uint32) []byte {
	if column >= columnProperties {
		b = appendText(b, c.name)
	}
	mask := byte(0)
	for k, n := range c.kinds {
		if n > 0 {
			mask |= 1 << k
		}
	}
	b = append(b, byte(c.placement)<<4|byte(c.layout), mask)
	for _, n := range c.kinds {
		if n > 0 {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	switch c.layout {
	case layoutDictionary:
		b = binary.AppendUvarint(b, uint64(c.distinct))
	case layoutIntegers:
		b = append(binary.AppendVarint(b, int64(c.base)), c.bits)
	case layoutDecimals:
		b = append(binary.AppendVarint(b, int64(c.base)), c.bits, c.scale)
	}
	if version > 1 && c.hasCoding() {
		if b = append(b, byte(c.coding)); c.coding == codingRuns {
			b = binary.AppendUvarint(b, uint64(c.runs))
		}
	}
	return b
}

// placementLayoutName names the byte that says how a column is stored.
func placementLayoutName(how uint8) string {
	if how&15 > byte(layoutDecimals) {
		return "unknown"
	}
	return placementNames[how>>4] + ", " + layoutNames[how&15]
}

func (c *columnInfo) decode(d *decoder, column int, f *footer) {
	if column >= columnProperties {
		c.name = d.text("column: name")
	}
	how := d.named("column: placement, layout", byte(placeSparse)<<4|byte(layoutDecimals), placementLayoutName)
	c.placement, c.layout = placement(how>>4), layout(how&15)
	mask := d.byte("column: kinds", 1<<len(c.kinds)-1)
	rows := f.rows
	if column == columnDistinctID {
		rows = f.users
	}
	for k := range c.kinds {
		if mask>>k&1 != 0 {
			c.kinds[k] = int32(d.count("column: values of kind", rows))
		}
	}
	values := c.values()
	c.slots = rows
	if c.placement == placeSparse {
		c.slots = values
	}
	uniform, isUniform := c.uniform()
	last := layoutDecimals
	if f.version == 1 {
		last = layoutChunks
	}
	bad := c.layout > last || values > rows || c.placement == placeAll && values != rows
	switch c.layout {
	case layoutDictionary:
		c.distinct = d.count("column: entries", min(values, maxDictionaryEntries))
		c.width, c.bits = codeWidth(c.distinct), codeBits(c.distinct)
		bad = bad || values > 0 && c.distinct == 0
	case layoutIntegers:
		c.base = uint64(d.varint("column: base"))
		c.bits = d.byte("column: bits", 64)
		bad = bad || !validWidth(c.bits) || !isUniform || uniform != catalog.KindInt
	case layoutDecimals:
		c.base = uint64(d.varint("column: base"))
		c.bits = d.byte("column: bits", 64)
		c.scale = d.byte("column: scale", maxScale)
		bad = bad || !validWidth(c.bits) || int(c.kinds[catalog.KindInt]+c.kinds[catalog.KindDouble]) != values
	case layoutNumbers:
		for k, n := range c.kinds {
			bad = bad || n > 0 && !fixedKind(catalog.Kind(k))
		}
	case layoutChunks:
		bad = bad || isUniform && !textKind(uniform)
	}
	bad = bad || !c.decodeCoding(d, f.version)
	if bad || !c.fits(column, f) {
		d.fail("column")
	}
}

// hasCoding reports whether the numbers of the slots have a coding.
func (c *columnInfo) hasCoding() bool {
	return c.layout == layoutDictionary || c.layout == layoutIntegers || c.layout == layoutDecimals
}

// decodeCoding reads how the numbers of the slots are stored. Version 1 does not
// say: codes are whole, integers packed.
func (c *columnInfo) decodeCoding(d *decoder, version uint32) (ok bool) {
	if !c.hasCoding() {
		return true
	}
	if version == 1 {
		if c.layout != layoutDictionary {
			c.coding = codingPacked
		}
		return true
	}
	c.coding = coding(d.named("column: coding", byte(codingRuns), func(b uint8) string { return codingNames[b] }))
	if c.coding == codingRuns {
		c.runs = d.count("column: runs", c.slots)
	}
	switch c.coding {
	case codingWhole:
		return c.layout == layoutDictionary
	case codingRanked:
		return c.placement == placeBitmap
	case codingUsers:
		return c.placement != placeSparse
	}
	return true
}

// fits reports whether a column that every file has holds what it should.
func (c *columnInfo) fits(column int, f *footer) bool {
	strings := int(c.kinds[catalog.KindString])
	switch column {
	case columnEvent:
		return strings == f.rows
	case columnServerTime:
		return int(c.kinds[catalog.KindBool]) == c.values()
	case columnInsertText:
		return strings+int(c.kinds[catalog.KindNull]) == c.values()
	case columnOthers:
		return strings == c.values()
	case columnDistinctID:
		return strings == f.users && c.layout == layoutChunks && c.placement == placeAll
	}
	return true
}

func (i *ingestInfo) append(b []byte, version uint32) []byte {
	b = binary.AppendUvarint(b, uint64(i.requests))
	b = binary.AppendUvarint(b, uint64(len(i.edges)))
	for _, e := range i.edges {
		b = binary.AppendUvarint(b, uint64(e))
	}
	b = binary.AppendUvarint(b, i.timeBase)
	b = append(b, i.timeWidth, i.codeWidth, i.indexWidth)
	if version > 1 {
		b = i.appendArrivals(b)
	}
	b, _ = i.least.AppendBinary(b)
	b, _ = i.greatest.AppendBinary(b)
	return b
}

func (i *ingestInfo) decode(d *decoder, version uint32) {
	i.requests = d.count("ingest ids: requests", MaxRows)
	i.edges = make([]uint32, d.items("ingest ids: edges", 1))
	for k := range i.edges {
		i.edges[k] = uint32(d.uvarint("ingest ids: edge", math.MaxUint32))
	}
	i.timeBase = d.uvarint("ingest ids: base of times", math.MaxUint64)
	i.timeWidth = d.byte("ingest ids: bits of times", 64)
	i.codeWidth = d.byte("ingest ids: bits of codes", 32)
	i.indexWidth = d.byte("ingest ids: bits of indexes", 32)
	if version > 1 {
		i.decodeArrivals(d)
	}
	from := d.at
	i.least = catalog.IngestIDFromBytes(d.take("ingest ids: least", catalog.IngestIDSize))
	d.noted(from, "ingest ids: least", i.least)
	from = d.at
	i.greatest = catalog.IngestIDFromBytes(d.take("ingest ids: greatest", catalog.IngestIDSize))
	d.noted(from, "ingest ids: greatest", i.greatest)
	if !validWidth(i.timeWidth) {
		d.fail("ingest ids")
	}
}

func (f *footer) appendMeta(b []byte) []byte {
	m := &f.meta
	b = binary.AppendUvarint(b, uint64(m.Shard.Project))
	b = binary.AppendVarint(b, int64(m.Shard.Day))
	b = binary.AppendUvarint(b, uint64(m.Shard.Bucket))
	for _, names := range [][]string{m.Sources, m.Replaces} {
		b = binary.AppendUvarint(b, uint64(len(names)))
		for _, s := range names {
			b = appendText(b, s)
		}
	}
	for _, d := range m.Digest {
		b = binary.LittleEndian.AppendUint64(b, d)
	}
	b = appendText(b, text(m.LogCut))
	b = appendText(b, m.CreatedBy)
	b = binary.AppendUvarint(b, uint64(f.duplicates))
	b = binary.AppendUvarint(b, uint64(f.groups))
	return binary.AppendUvarint(b, uint64(f.cross))
}

func (f *footer) decodeMeta(d *decoder) {
	m := &f.meta
	m.Shard.Project = catalog.ProjectID(d.uvarint("shard: project", math.MaxUint32))
	m.Shard.Day = catalog.Day(d.varint("shard: day"))
	m.Shard.Bucket = uint16(d.uvarint("shard: bucket", math.MaxUint16))
	for _, names := range []struct {
		fields, field string
		to            *[]string
	}{{"sources", "source", &m.Sources}, {"replaces", "replaced", &m.Replaces}} {
		if n := d.items(names.fields, 1); n > 0 {
			*names.to = make([]string, n)
		}
		for i := range *names.to {
			(*names.to)[i] = d.text(names.field)
		}
	}
	for i, field := range []string{"digest: count", "digest: high", "digest: low"} {
		m.Digest[i] = d.uint64(field)
	}
	if s := d.text("log cut"); s != "" {
		m.LogCut = []byte(s)
	}
	m.CreatedBy = d.text("created by")
	f.duplicates = d.count("duplicates", f.rows)
	f.groups = d.count("groups", f.rows/2)
	f.cross = d.count("cross", MaxRows)
}
