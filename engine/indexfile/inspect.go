package indexfile

import "arbor/catalog"

// PropertyInfo describes a property of a file.
type PropertyInfo struct {
	Name string
	// Kinds counts the values of each catalog.Kind, KindNull included.
	Kinds [catalog.KindJSON + 1]int
	// Distinct is the number of distinct values, 0 where that is not known.
	Distinct int
	// Encoding says how the values are stored, for people.
	Encoding string
}

// Rows is the number of rows that have the property.
func (p *PropertyInfo) Rows() int {
	n := 0
	for _, k := range p.Kinds {
		n += k
	}
	return n
}

// Properties describe the properties that have a column, sorted by name. Not to
// be changed.
func (r *Reader) Properties() []PropertyInfo {
	v, _ := r.properties.get(func() (*[]PropertyInfo, error) {
		columns := r.footer.columns[columnProperties-columnEvent:]
		out := make([]PropertyInfo, len(columns))
		for i := range columns {
			out[i] = columns[i].describe()
		}
		return &out, nil
	})
	return *v
}

// OtherProperties is the number of rows with properties that have no column,
// since the file has more than MaxColumns of them.
func (r *Reader) OtherProperties() int { return r.column(columnOthers).info.values() }

// Property describes one property that has a column.
func (r *Reader) Property(name string) (PropertyInfo, bool) {
	c := r.property(name)
	if c == nil {
		return PropertyInfo{}, false
	}
	return c.info.describe(), true
}

func (c *columnInfo) describe() PropertyInfo {
	how := layoutNames[c.layout]
	if c.layout == layoutDictionary && c.width == 0 {
		how = "constant"
	}
	if c.hasCoding() && c.coding != codingWhole && !(c.layout == layoutDictionary && c.width == 0) {
		how += " " + codingNames[c.coding]
	}
	p := PropertyInfo{Name: c.name, Distinct: c.distinct, Encoding: how + ", " + placementNames[c.placement]}
	for k, n := range c.kinds {
		p.Kinds[k] = int(n)
	}
	return p
}

// SectionInfo describes a section of a file, for people.
type SectionInfo struct {
	Name     string
	Encoding string // raw, zstd or, for short parts, pooled
	Bytes    int64  // on disk; of a pooled part, in the pool
	Raw      int64  // decompressed
	Rows     int    // values held
}

// Sections describe what is in the file, in its order: the sections, the last
// of which is the pool, and then the parts that the pool holds.
func (r *Reader) Sections() []SectionInfo {
	out := make([]SectionInfo, 0, len(r.footer.sections)+len(r.footer.pooled))
	for _, s := range r.footer.sections {
		out = append(out, SectionInfo{Name: r.partName(s.kind, s.column), Encoding: encodingNames[s.encoding],
			Bytes: s.stored, Raw: s.raw, Rows: r.partRows(s.kind, s.column)})
	}
	for _, p := range r.footer.pooled {
		out = append(out, SectionInfo{Name: r.partName(p.kind, p.column), Encoding: "pooled",
			Bytes: int64(p.raw), Raw: int64(p.raw), Rows: r.partRows(p.kind, p.column)})
	}
	return out
}

func (r *Reader) partRows(kind partKind, column int) int {
	f := &r.footer
	switch {
	case kind == partPool:
		return len(f.pooled)
	case kind == partDuplicates:
		return f.duplicates
	case kind == partGroups:
		return f.groups
	case kind == partCross:
		return f.cross
	case (kind == partLateRows || kind == partLate) && f.ingest.arrivals != nil:
		return f.ingest.arrivals.late
	case kind == partRequests:
		return f.ingest.requests
	case kind == partRunLengths:
		return f.users
	case column == columnFile:
		return f.rows
	case kind == partDictionary:
		return f.columns[column-columnEvent].distinct
	}
	return f.columns[column-columnEvent].values()
}
