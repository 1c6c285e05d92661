package track

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
)

// decoded is all that a request holds.
type decoded struct {
	Events  []event.Event
	Tokens  []string
	Indexes []uint32
	Kinds   []int
	Failed  []RecordError
}

// all decodes the texts of a request, and keeps what it is given.
func (d *Decoder) all(o Options, texts ...[]byte) (*decoded, error) {
	b := &decoded{}
	failed, err := d.Decode(texts, o, func(r *Record) error {
		e := r.Event
		e.Properties = slices.Clone(e.Properties)
		b.Events, b.Tokens, b.Indexes, b.Kinds = append(b.Events, e), append(b.Tokens, r.Token), append(b.Indexes, r.Index), append(b.Kinds, r.Kind)
		return nil
	})
	b.Failed = slices.Clone(failed)
	return b, err
}

// keyByKeyDecoder is a decoder whose tree of outlines takes nothing.
func keyByKeyDecoder() *Decoder {
	d := &Decoder{}
	for range maxBranches {
		d.outlines.root.next = append(d.outlines.root.next, &node{raw: strings.Repeat("\x00 of no text ", 16)})
	}
	return d
}

// describe is what was decoded, but for the kinds.
func (b *decoded) describe(err error) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%v\n", err)
	if err != nil {
		return s.String()
	}
	for i := range b.Events {
		fmt.Fprintf(&s, "%d %q %+v\n", b.Indexes[i], b.Tokens[i], b.Events[i])
	}
	for _, f := range b.Failed {
		fmt.Fprintf(&s, "%+v\n", f)
	}
	return s.String()
}

// checkOutlines decodes a text with and without outlines, new and known.
func checkOutlines(t *testing.T, known *Decoder, text []byte) {
	t.Helper()
	for _, o := range []Options{{}, {Strict: true}} {
		slow := keyByKeyDecoder()
		want, err := slow.all(o, text)
		expected := want.describe(err)
		for round := range 2 {
			got, err := known.all(o, text)
			if text := got.describe(err); text != expected {
				t.Fatalf("round %d:\n%s\nwant\n%s", round, text, expected)
			}
			checkKinds(t, got)
		}
	}
}

// checkKinds holds events of one kind to having the same names, and all to what
// CheckLimits counts upon.
func checkKinds(t *testing.T, b *decoded) {
	t.Helper()
	names := map[int]string{}
	for i := range b.Events {
		e := &b.Events[i]
		if limits, all := event.CheckLimits(e), event.Check(e); fmt.Sprint(limits) != fmt.Sprint(all) {
			t.Fatalf("%+v: CheckLimits says %v, Check %v", e, limits, all)
		}
		key := fmt.Sprintf("%q", e.Name)
		for _, p := range e.Properties {
			key += fmt.Sprintf(" %q", p.Name)
		}
		if known, ok := names[b.Kinds[i]]; ok && known != key && b.Kinds[i] > 0 {
			t.Fatalf("kind %d is of %s and of %s", b.Kinds[i], known, key)
		}
		names[b.Kinds[i]] = key
	}
}

// outlineTexts have keys in many orders, twice, with white space and escapes, and
// are broken in many ways.
var outlineTexts = []string{
	`{"event":"a","properties":{"time":1,"b":2,"a":3}}`,
	`{"event":"a","properties":{"b":2,"time":1794182400,"a":3}} {"event":"b","properties":{"b":2,"time":1794182400,"a":3}}`,
	`{"event":"a","properties":{"a":1,"b":2,"a":3,"time":5,"time":1794182400,"token":"x","token":"y"}}`,
	`{ "properties" : { "a" : 1 , "b" : [ 1 ] } , "event" : "e" }`,
	`{"event":"a","properties":{"a": 1, "b": 2}}` + "\n" + `{"event":"a","properties":{"a":1,"b":  2 }}`,
	`{"event":"a","properties":{"\u0061":1,"a":2,"\u0062":3}}`,
	`{"event":"a","properties":{"a":1},"properties":{"b":1}}`,
	`{"event":"a","properties":{"a":1},"properties":{}}`, `{"event":"a","properties":{}}`, `{"event":"a","properties":{"a":1},"properties":7}`,
	`{"event":"a","properties":{"a":1,}}`, `{"event":"a","properties":{"a":1`, `{"event":"a","properties":{"a"`, `{"event":"a","properties":{"a":`,
	`{"event":"a","properties":{"a":1 "b":2}}`, `{"event":"a","properties":{,}}`, `{"event":"a","properties":{"a":1}`, `{"event":"a","properties":{"a":x}}`,
	`{"event":"a","properties":{"a":"` + "\xff" + `","b":1}}`, `{"event":"a","properties":{"` + "\xff" + `":1,"b":1}}`, `{"event":"` + "\xff" + `"}`,
	`{"event":"a","properties":{"distinct_id":[1],"$insert_id":{},"token":1}}`,
	`{"event":"a","properties":{"a":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `,"b":1}}`,
	`{"event":"a","properties":{"distinct_id":"u","$insert_id":"i","time":1794182400,"token":"t"}}`,
	`{"event":"","properties":{"a":1}}`, `{"event":3,"properties":{"a":1}}`, `{"event":"a","event":"b","properties":{"a":1}}`,
	`{"event":"a","properties":{"a":1}}` + "\n" + `{"event":"a","properties":{"a":}}` + "\n" + `{"event":"b","properties":{"a":2}}`,
}

func TestOutlinesChangeNothing(t *testing.T) {
	var known Decoder
	for range 2 {
		for _, text := range outlineTexts {
			checkOutlines(t, &known, []byte(text))
			checkOutlines(t, &Decoder{}, []byte("["+text+"]"))
		}
	}
}

func TestRandomOutlinesChangeNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var known Decoder
	for range 300 {
		var text strings.Builder
		for range r.IntN(20) {
			fmt.Fprintf(&text, `{"event":"e%d","properties":{`, r.IntN(3))
			for i := range r.IntN(8) {
				if i > 0 {
					text.WriteString([]string{",", ", "}[r.IntN(2)])
				}
				key := append([]string{keyTime, keyToken, keyDistinctID, keyInsertID}, "a", "b", "c", "d", "e", "f")[r.IntN(10)]
				fmt.Fprintf(&text, `"%s":%s`, key, []string{"1794182400", `"s"`, "null", "true", "1.5", "[1, 2]"}[r.IntN(6)])
			}
			text.WriteString("}}\n")
		}
		checkOutlines(t, &known, []byte(text.String()))
	}
}

// However many outlines come, the tree stays within its limits, and what is read
// stays right.
func TestOutlinesAreBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var known Decoder
	object := func(keys int, names int) string {
		var text strings.Builder
		text.WriteString(`{"event":"e","properties":{`)
		for i := range keys {
			if i > 0 {
				text.WriteByte(',')
			}
			fmt.Fprintf(&text, `"p%d":%d`, r.IntN(names), i)
		}
		text.WriteString("}}\n")
		return text.String()
	}
	for round := range 60 {
		var text strings.Builder
		for range 60 {
			text.WriteString(object(r.IntN(30), 5+round*5))
		}
		text.WriteString(object(maxDepth, 1000))
		text.WriteString(object(maxDepth+1, 1000))
		for i := range 40 {
			fmt.Fprintf(&text, `{"event":"name %d of %d","properties":{"a":1}}`+"\n", i, round)
		}
		checkOutlines(t, &known, []byte(text.String()))
		o := &known.outlines
		if o.nodes > maxNodes || o.bytes > 2*maxNodeBytes || o.kinds > maxKinds {
			t.Fatalf("%d nodes of %d bytes, %d kinds", o.nodes, o.bytes, o.kinds)
		}
	}
}

// An error of whoever takes the records ends the decoding.
func TestDecodeStopsWhenNotTaken(t *testing.T) {
	enough := fmt.Errorf("enough")
	for _, text := range []string{
		`[{"event":"a"},{"event":"b"},{"event":"c"}]`,
		`{"event":"a"}` + "\n" + `{"event":"b"}` + "\n" + `{"event":"c"}`,
		`{"event":` + "\n" + `{"event":"a"}` + "\n" + `{"event":"b"}` + "\n" + `{"event":"c"}`,
	} {
		var d Decoder
		taken := 0
		_, err := d.Decode([][]byte{[]byte(text)}, Options{}, func(*Record) error {
			if taken++; taken == 2 {
				return enough
			}
			return nil
		})
		if err != enough || taken != 2 {
			t.Errorf("%s: %d taken, %v", text, taken, err)
		}
	}
}

func TestFormsKeepTheLastOfAKey(t *testing.T) {
	var d Decoder
	b, err := d.all(Options{}, []byte(`{"event":"a","properties":{"x":1,"y":2,"x":3}}`))
	if err != nil || len(b.Events) != 1 || fmt.Sprint(b.Events[0].Properties) != fmt.Sprint([]catalog.Property{{Name: "x", Value: catalog.Int(3)}, {Name: "y", Value: catalog.Int(2)}}) {
		t.Errorf("%+v, %v", b, err)
	}
}

func FuzzOutlines(f *testing.F) {
	for _, text := range outlineTexts {
		f.Add([]byte(text))
	}
	f.Add([]byte("{\"properties\":{\x00[[]]}}]["))
	var known Decoder
	f.Fuzz(func(t *testing.T, text []byte) { checkOutlines(t, &known, text) })
}
