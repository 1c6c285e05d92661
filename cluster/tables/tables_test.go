package tables

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// model is a state as plain maps.
type model map[string]map[string]string

func (m model) clone() model {
	c := model{}
	for name, rows := range m {
		c[name] = map[string]string{}
		for k, v := range rows {
			c[name][k] = v
		}
	}
	return c
}

func contents(s interface {
	All(uint32) []*Table
}) model {
	m := model{}
	for _, t := range s.All(1) {
		rows := map[string]string{}
		for k, v := range t.Seek(nil) {
			rows[string(k)] = string(v)
		}
		m[t.Name] = rows
	}
	return m
}

func compare(t *testing.T, got, want model) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Fatalf("tables are\n%s\nwant\n%s", g, w)
	}
}

// TestAgainstMaps makes random transactions, several at once, and holds every state
// against plain maps: a transaction that read what another one then changed is
// refused, and all others are applied whole. Encoded states and changes are the same
// after decoding.
func TestAgainstMaps(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	state, want := &State{}, model{}
	type open struct {
		draft *Draft
		model model
		saw   map[string]string // "table/key", what was there when it began, of what is written
		whole map[string]bool   // tables made, dropped or cleared
	}
	begin := func() *open {
		return &open{draft: NewDraft(state), model: want.clone(), saw: map[string]string{}, whole: map[string]bool{}}
	}
	transactions := []*open{begin(), begin(), begin()}
	conflicts, commits := 0, 0
	for range 3000 {
		i := rnd.IntN(len(transactions))
		tx := transactions[i]
		name := string(rune('a' + rnd.IntN(3)))
		key := fmt.Sprint("k", rnd.IntN(30))
		table, ok := tx.draft.Table(1, strings.ToUpper(name))
		switch what := rnd.IntN(10); {
		case !ok && tx.draft.Empty():
			if _, err := tx.draft.Create(1, name, []byte("definition")); err != nil {
				t.Fatal(err)
			}
			tx.model[name], tx.whole[name] = map[string]string{}, true
		case !ok:
		case what == 0 && tx.draft.Empty():
			if err := tx.draft.Drop(table.ID); err != nil {
				t.Fatal(err)
			}
			delete(tx.model, name)
			tx.whole[name] = true
		case what < 7:
			value := fmt.Sprint(rnd.IntN(5))
			if err := tx.draft.Put(table.ID, []byte(key), []byte(value)); err != nil {
				t.Fatal(err)
			}
			tx.model[name][key] = value
		case what < 8:
			if _, there := tx.model[name][key]; there {
				if err := tx.draft.Remove(table.ID, []byte(key)); err != nil {
					t.Fatal(err)
				}
				delete(tx.model[name], key)
			}
		case what < 9:
			mark, before := tx.draft.Mark(), contents(tx.draft)
			if err := tx.draft.Put(table.ID, []byte(key), []byte("taken back")); err != nil {
				t.Fatal(err)
			}
			if err := tx.draft.Return(mark); err != nil {
				t.Fatal(err)
			}
			compare(t, contents(tx.draft), before)
		default:
			change, err := tx.draft.Change()
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := DecodeChange(change.Encode())
			if err != nil || !bytes.Equal(decoded.Encode(), change.Encode()) {
				t.Fatalf("a change decodes as %v, %v", decoded, err)
			}
			next, err := state.Apply(decoded)
			switch {
			case errors.Is(err, ErrConflict), errors.Is(err, ErrNoTable), errors.Is(err, ErrTableExists):
				if state == tx.draft.Base() {
					t.Fatalf("refused without another transaction: %v", err)
				}
				conflicts++
			case err != nil:
				t.Fatal(err)
			default:
				commits++
				// What it wrote is in, and nothing else was changed.
				after := want.clone()
				for _, e := range tx.draft.edits {
					apply(after, &e, tx.draft)
				}
				want = after
				if tx.draft.Base() == state {
					compare(t, tx.model, want)
				}
				state = next
			}
			compare(t, contents(state), want)
			if again, err := DecodeState(state.Encode()); err != nil || !again.Equal(state) || again.Bytes() != state.Bytes() {
				t.Fatalf("a state decodes as another one: %v", err)
			}
			transactions[i] = begin()
		}
		compare(t, contents(transactions[i].draft), transactions[i].model)
	}
	if conflicts < 20 || commits < 50 {
		t.Errorf("%d conflicts and %d commits: the test tests nothing", conflicts, commits)
	}
}

// apply is what an edit means for maps.
func apply(m model, e *Edit, d *Draft) {
	name := ""
	if t, ok := d.base.ByID(e.Table); ok {
		name = t.Name
	} else if t, ok := d.w.next.ByID(e.Table); ok {
		name = t.Name
	}
	switch e.Op {
	case OpCreate:
		m[e.Name] = map[string]string{}
	case OpDrop:
		delete(m, name)
	case OpPut:
		m[name][string(e.Key)] = string(e.Value)
	case OpRemove:
		delete(m[name], string(e.Key))
	}
}

// must applies edits.
func must(t *testing.T, s *State, edits ...Edit) *State {
	t.Helper()
	next, err := s.Apply(edits)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestConflicts(t *testing.T) {
	s := must(t, &State{}, Edit{Op: OpCreate, Project: 1, Name: "t"}, Edit{Op: OpPut, Key: []byte("k"), Value: []byte("1")})
	d := must(t, s, Edit{Op: OpDefine, Table: 1, Name: "u", Definition: []byte("x")})
	for _, c := range []struct {
		name  string
		state *State
		edit  Edit
		want  error
	}{
		{"a value that was seen", s, Edit{Op: OpPut, Table: 1, Key: []byte("k"), Value: []byte("2"), Before: Saw([]byte("1"))}, nil},
		{"another value", s, Edit{Op: OpPut, Table: 1, Key: []byte("k"), Value: []byte("2"), Before: Saw([]byte("0"))}, ErrConflict},
		{"a value where none was", s, Edit{Op: OpPut, Table: 1, Key: []byte("k"), Value: []byte("2")}, ErrConflict},
		{"none where a value was", s, Edit{Op: OpRemove, Table: 1, Key: []byte("j"), Before: Saw([]byte("1"))}, ErrConflict},
		{"the same definition", s, Edit{Op: OpUse, Table: 1, Version: 1}, nil},
		{"another definition", d, Edit{Op: OpUse, Table: 1, Version: 1}, ErrConflict},
		{"another state", d, Edit{Op: OpKeep, Table: 1, Version: 1}, ErrConflict},
		{"no table", s, Edit{Op: OpDrop, Table: 9}, ErrNoTable},
		{"a name in another case", s, Edit{Op: OpCreate, Project: 1, Name: "T"}, ErrTableExists},
		{"a name of another project", s, Edit{Op: OpCreate, Project: 2, Name: "t"}, nil},
		{"a renamed table's old name", d, Edit{Op: OpCreate, Project: 1, Name: "t"}, nil},
	} {
		if _, err := c.state.Apply(Change{c.edit}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if left := must(t, d, Edit{Op: OpForget, Project: 1}); len(left.All(1)) != 0 || left.Bytes() != 0 {
		t.Error("a project that was forgotten has tables")
	}
}

func TestLimits(t *testing.T) {
	s := must(t, &State{}, Edit{Op: OpCreate, Project: 1, Name: "t"})
	put := func(key, value int) error {
		_, err := s.Apply(Change{{Op: OpPut, Table: 1, Key: make([]byte, key), Value: make([]byte, value)}})
		return err
	}
	for _, c := range []struct {
		key, value int
		ok         bool
	}{{MaxKeyBytes, 0, true}, {MaxKeyBytes + 1, 0, false}, {1, MaxValueBytes, true}, {1, MaxValueBytes + 1, false}} {
		if err := put(c.key, c.value); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrLimit) {
			t.Errorf("a key of %d bytes and a value of %d: %v", c.key, c.value, err)
		}
	}
	for _, c := range []struct {
		name, definition int
		ok               bool
	}{{MaxNameBytes, MaxDefinitionBytes, true}, {MaxNameBytes + 1, 0, false}, {1, MaxDefinitionBytes + 1, false}, {0, 0, false}} {
		_, err := s.Apply(Change{{Op: OpCreate, Project: 1, Name: strings.Repeat("n", c.name), Definition: make([]byte, c.definition)}})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrLimit) {
			t.Errorf("a name of %d bytes and a definition of %d: %v", c.name, c.definition, err)
		}
	}
	// A table, and all tables, are full to the byte.
	value := make([]byte, MaxValueBytes)
	fill := func(s *State, name string) *State {
		edits := []Edit{{Op: OpCreate, Project: 2, Name: name}}
		left := int64(MaxTableBytes)
		for i := 0; left > 0; i++ {
			key := fmt.Appendf(nil, "%03d", i)
			n := min(left-sizeOf(key, nil), MaxValueBytes)
			edits = append(edits, Edit{Op: OpPut, Key: key, Value: value[:n]})
			left -= sizeOf(key, value[:n])
		}
		return must(t, s, edits...)
	}
	full := fill(&State{}, "a")
	if _, err := full.Apply(Change{{Op: OpPut, Table: 1, Key: []byte("x")}}); !errors.Is(err, ErrLimit) {
		t.Errorf("a byte past a table's limit: %v", err)
	}
	for _, name := range []string{"b", "c", "d"} {
		full = fill(full, name)
	}
	if full.Bytes() != MaxTotalBytes {
		t.Fatalf("%d bytes", full.Bytes())
	}
	if _, err := full.Apply(Change{{Op: OpCreate, Project: 3, Name: "e"}, {Op: OpPut, Key: []byte("x")}}); !errors.Is(err, ErrLimit) {
		t.Errorf("a byte past the limit of all tables: %v", err)
	}
	many := make(Change, MaxTables)
	for i := range many {
		many[i] = Edit{Op: OpCreate, Project: 1, Name: fmt.Sprint(i)}
	}
	if _, err := must(t, &State{}, many...).Apply(Change{{Op: OpCreate, Project: 1, Name: "x"}}); !errors.Is(err, ErrLimit) {
		t.Errorf("a table past the limit: %v", err)
	}
	d := NewDraft(s)
	var err error
	for i := 0; err == nil; i++ {
		err = d.Put(1, fmt.Appendf(nil, "%d", i), value)
	}
	if c, e := d.Change(); !errors.Is(err, ErrLimit) || e != nil || len(c.Encode()) > MaxChangeBytes {
		t.Errorf("a transaction past its limit: %v, %v", err, e)
	}
}

// TestDamage cuts and changes every byte of a state and of a change.
func TestDamage(t *testing.T) {
	c := Change{
		{Op: OpCreate, Project: 1, Name: "t", Definition: []byte("d")}, {Op: OpPut, Key: []byte("k"), Value: []byte("v")},
		{Op: OpDefine, Name: "u"}, {Op: OpRemove, Key: []byte("k"), Before: Saw([]byte("v"))}, {Op: OpPut, Key: []byte("l")}, {Op: OpForget, Project: 9},
	}
	s := must(t, &State{}, c...)
	for i, b := range [][]byte{s.Encode(), c.Encode()} {
		decode := func(b []byte) error {
			var err error
			if i == 0 {
				_, err = DecodeState(b)
			} else {
				_, err = DecodeChange(b)
			}
			return err
		}
		if err := decode(b); err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if err := decode(b[:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d of %d bytes: %v", n, len(b), err)
			}
			changed := bytes.Clone(b)
			changed[n] ^= 0x55
			_ = decode(changed) // must not panic
		}
	}
}

func FuzzDecode(f *testing.F) {
	c := Change{{Op: OpCreate, Project: 1, Name: "t"}, {Op: OpPut, Key: []byte("k"), Value: []byte("v")}, {Op: OpKeep, Table: 1, Version: 3}}
	s, err := (&State{}).Apply(c[:2])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Encode())
	f.Add(c.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := DecodeState(b); err == nil {
			if again, err := DecodeState(s.Encode()); err != nil || !again.Equal(s) {
				t.Errorf("a state does not decode again: %v", err)
			}
		}
		if c, err := DecodeChange(b); err == nil {
			if again, err := DecodeChange(c.Encode()); err != nil || !bytes.Equal(again.Encode(), c.Encode()) {
				t.Errorf("a change does not decode again: %v", err)
			}
			_, _ = (&State{}).Apply(c)
		}
	})
}
