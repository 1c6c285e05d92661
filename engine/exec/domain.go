package exec

import (
	"container/list"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
)

// Domain numbers the values of a column, over all dictionaries that it has in
// files and logs, so that rows of different files are compared by number. Null
// is 0; a value keeps its number for ever. It grows; its methods may be called
// from many goroutines.
type Domain struct {
	Type catalog.Type

	mu     sync.Mutex // guards what follows, but for reading values
	table  idTable
	hashed int // how many values of the list are in the table, or are null
	list   []catalog.Value
	// order are numbers in the order of their texts: those of values that ordered
	// dictionaries had. It does not change.
	order  []uint32
	making map[any]bool                    // ordered dictionaries that are being translated
	made   sync.Cond                       // one of them was
	values atomic.Pointer[[]catalog.Value] // list as others see it; what is there does not change
	bytes  atomic.Int64                    // about what it holds in memory
	maps   map[any]*list.Element           // of *translation, by Dictionary.id
	recent list.List                       // the one used last in front
	said   list.List                       // of *said, likewise
}

// translation is the numbers of a dictionary's entries.
type translation struct {
	id      any
	numbers []uint32
	set     []*idPage // the numbers, if they were asked for as a set
}

// bytes is what it takes.
func (t *translation) bytes() int64 {
	size := 4 * int64(len(t.numbers))
	for _, p := range t.set {
		if p != nil {
			size += 8 + sizeOf[idPage]()
		}
	}
	return size
}

// nullID is the number of null in every domain.
const nullID = 0

// maxTranslations is how many dictionaries a domain remembers.
const maxTranslations = 4096

// NewDomain makes a domain in which there is null.
func NewDomain(t catalog.Type) *Domain {
	d := &Domain{Type: t, maps: map[any]*list.Element{}, making: map[any]bool{}, hashed: 1}
	d.made.L = &d.mu
	d.list = make([]catalog.Value, 1, 16)
	d.publish()
	return d
}

// all are the values by number. Not to be changed.
func (d *Domain) all() []catalog.Value { return *d.values.Load() }

// Len is the number of values, null included.
func (d *Domain) Len() int { return len(d.all()) }

// Bytes is about how much memory the domain takes.
func (d *Domain) Bytes() int64 { return d.bytes.Load() }

func hashValue(v *catalog.Value) uint64 {
	if v.Kind >= catalog.KindNumber {
		return xxh3.HashString(v.Text)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v.Bits)
	return xxh3.Hash(b[:])
}

// publish shows others the values that were numbered. The caller has mu.
func (d *Domain) publish() {
	if seen := d.values.Load(); seen == nil || len(*seen) != len(d.list) {
		list := d.list
		d.values.Store(&list)
	}
}

// number gives a value its number. The caller has mu, and publishes.
func (d *Domain) number(v catalog.Value) uint32 {
	if v.Kind == catalog.KindNull {
		return nullID
	}
	if v.Kind == catalog.KindDouble && v.Double() == 0 {
		v.Bits = 0 // -0 is 0
	}
	for ; d.hashed < len(d.list); d.hashed++ {
		d.table.find(hashValue(&d.list[d.hashed]), uint32(d.hashed), func(uint32) bool { return false })
	}
	id, found := d.table.find(hashValue(&v), uint32(len(d.list)), func(o uint32) bool {
		l := &d.list[o]
		return l.Kind == v.Kind && l.Bits == v.Bits && l.Text == v.Text
	})
	if found {
		return id
	}
	v.Text = strings.Clone(v.Text)
	d.list = append(d.list, v)
	d.hashed++
	d.bytes.Add(int64(48 + len(v.Text)))
	return id
}

// Number gives a value, of the kind that the type has, its number.
func (d *Domain) Number(v catalog.Value) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.number(v)
	d.publish()
	return id
}

// numberRows numbers the values of a vector's rows [lo, hi) into out.
func (d *Domain) numberRows(out []uint32, v *Vector, lo, hi int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := lo; i < hi; i++ {
		out[i-lo] = d.number(v.plain(i))
	}
	d.publish()
}

// translate gives the numbers of a dictionary's entries.
func (d *Domain) translate(dictionary *Dictionary) ([]uint32, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.translation(dictionary)
	if err != nil {
		return nil, err
	}
	return t.numbers, nil
}

// entries gives the numbers of a dictionary's entries as a set, which is not to be
// changed; nil if one of them is null.
func (d *Domain) entries(dictionary *Dictionary) ([]*idPage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.translation(dictionary)
	if err != nil || t.set != nil {
		return t.set, err
	}
	if slices.Contains(t.numbers, nullID) {
		return nil, nil
	}
	before := t.bytes()
	set := idSet{pages: []*idPage{}}
	for _, id := range t.numbers[:dictionary.Len] {
		set.mark(id)
	}
	t.set = set.pages
	d.bytes.Add(t.bytes() - before)
	return t.set, nil
}

// known finds a dictionary's translation, nil if there is none. The caller has mu.
func (d *Domain) known(dictionary *Dictionary) *translation {
	e, ok := d.maps[dictionary.id]
	if !ok {
		return nil
	}
	if t := e.Value.(*translation); len(t.numbers) >= max(1, dictionary.Len) {
		d.recent.MoveToFront(e)
		return t
	}
	d.bytes.Add(-e.Value.(*translation).bytes())
	d.recent.Remove(e)
	delete(d.maps, dictionary.id)
	return nil
}

// translation finds or makes a dictionary's. The caller has mu, which is given up meanwhile
// where it takes long.
func (d *Domain) translation(dictionary *Dictionary) (*translation, error) {
	if t := d.known(dictionary); t != nil {
		return t, nil
	}
	if dictionary.ordered != nil {
		if t, err := d.translateOrdered(dictionary); t != nil || err != nil {
			return t, err
		}
	}
	a, err := dictionary.values()
	if err != nil {
		return nil, err
	}
	v, err := VectorOf(a, d.Type)
	if err != nil {
		return nil, err
	}
	if v.Rows < dictionary.Len {
		return nil, fmt.Errorf("%w: %d entries, want %d", ErrArray, v.Rows, dictionary.Len)
	}
	numbers := make([]uint32, max(1, v.Rows)) // without entries all rows are null
	for i := range v.Rows {
		numbers[i] = d.number(v.plain(i))
	}
	return d.remember(dictionary, numbers), nil
}

// remember keeps the numbers of a dictionary's entries. The caller has mu.
func (d *Domain) remember(dictionary *Dictionary, numbers []uint32) *translation {
	d.publish()
	t := &translation{id: dictionary.id, numbers: numbers}
	d.maps[dictionary.id] = d.recent.PushFront(t)
	d.bytes.Add(t.bytes())
	if d.recent.Len() > maxTranslations {
		last := d.recent.Back()
		d.bytes.Add(-last.Value.(*translation).bytes())
		delete(d.maps, last.Value.(*translation).id)
		d.recent.Remove(last)
	}
	return t
}

// DomainKey names a column of a project in Domains.
type DomainKey struct {
	Project catalog.ProjectID
	Column  Column // without Hidden
}

// Domains keeps domains from query to query, as far as they fit: translating a
// dictionary costs as much as a query. Its methods may be called from many
// goroutines.
type Domains struct {
	maxBytes int64

	mu     sync.Mutex // guards what follows
	byKey  map[DomainKey]*list.Element
	recent list.List // of *kept, the one used last in front
}

type kept struct {
	key    DomainKey
	domain *Domain
}

// NewDomains keeps domains of about maxBytes together.
func NewDomains(maxBytes int64) *Domains {
	return &Domains{maxBytes: maxBytes, byKey: map[DomainKey]*list.Element{}}
}

// Get is the domain of a column. Those that were not used for longest are dropped
// when all together have grown too large; who uses one goes on using it.
func (d *Domains) Get(key DomainKey) *Domain {
	key.Column.Hidden = false
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.byKey[key]; ok {
		d.recent.MoveToFront(e)
		d.trim()
		return d.byKey[key].Value.(*kept).domain
	}
	k := &kept{key, NewDomain(key.Column.Result())}
	d.byKey[key] = d.recent.PushFront(k)
	d.trim()
	return k.domain
}

// Trim drops domains that have grown too large together since they were got.
func (d *Domains) Trim() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trim()
}

// trim drops domains, but never the one in front unless it alone is too large.
func (d *Domains) trim() {
	total := int64(0)
	for e := d.recent.Front(); e != nil; e = e.Next() {
		total += e.Value.(*kept).domain.Bytes()
	}
	for total > d.maxBytes && d.recent.Len() > 1 {
		last := d.recent.Back()
		k := last.Value.(*kept)
		total -= k.domain.Bytes()
		delete(d.byKey, k.key)
		d.recent.Remove(last)
	}
	if front := d.recent.Front(); total > d.maxBytes && front != nil {
		k := front.Value.(*kept)
		k.domain = NewDomain(k.domain.Type) // its users keep the old one
	}
}

// Bytes is about how much memory all domains take.
func (d *Domains) Bytes() (total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e := d.recent.Front(); e != nil; e = e.Next() {
		total += e.Value.(*kept).domain.Bytes()
	}
	return total
}
