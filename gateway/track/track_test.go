package track

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"arbor/catalog"
)

// Times are exact to the microsecond, however many digits they are written with.
func TestParseTimeIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		unit := catalog.Second // seconds from 1971 to 5138
		whole := 31_536_000 + r.Int64N(maxSeconds-31_536_000)
		if r.IntN(2) == 0 { // milliseconds from 1973 to 9999
			unit, whole = catalog.Millisecond, maxSeconds+r.Int64N(maxMillis-maxSeconds)
		}
		literal := fmt.Sprint(whole)
		if digits := r.IntN(14); digits > 0 {
			literal += "."
			for range digits {
				literal += fmt.Sprint(r.IntN(10))
			}
		}
		exact, _ := new(big.Rat).SetString(literal)
		exact.Mul(exact, new(big.Rat).SetInt64(unit))
		want := new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()
		for _, v := range []catalog.Value{catalog.Number(literal), catalog.String(literal), catalog.String(" " + literal + "\n")} {
			got, problem := parseTime(v)
			if inYears := want < maxMillis*catalog.Millisecond; got != want && inYears || (problem == "") != inYears {
				t.Fatalf("%s: %d %q, want %d", literal, got, problem, want)
			}
		}
	}
}

// A text arrives the same through every encoding of a data field.
func TestDataEncodings(t *testing.T) {
	const text = `[{"event":"~~~>>>???","properties":{"x":"a+b c/d=é😀%41&"}}]`
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	z.Write([]byte(text))
	z.Close()
	standard := base64.StdEncoding.EncodeToString([]byte(text))
	for name, field := range map[string]string{
		"JSON":              url.QueryEscape(text),
		"base64, escaped":   url.QueryEscape(standard),
		"base64, bare":      standard,
		"base64, unpadded":  strings.TrimRight(standard, "="),
		"base64 for URLs":   base64.URLEncoding.EncodeToString([]byte(text)),
		"base64, in lines":  url.QueryEscape(standard[:20] + "\r\n" + standard[20:] + "\n"),
		"base64 of gzip":    url.QueryEscape(base64.StdEncoding.EncodeToString(compressed.Bytes())),
		"white space ahead": "%20%0A" + url.QueryEscape(text),
	} {
		for _, form := range []string{"data=" + field, "verbose=1&data=" + field, "data=" + field + "&ip=0"} {
			texts, parameters, err := Unwrap([]byte(form), 1<<20)
			if err != nil || len(texts) != 1 || string(texts[0]) != text {
				t.Errorf("%s: %q, %v", name, texts, err)
			}
			if parameters.Has("data") {
				t.Errorf("%s: the data is among the other fields", name)
			}
		}
	}
	for _, bad := range []string{"data=", "data=%", "data=%4", "data=%4g", "data=!", "x=1", "data=bm90IGpzb24", "hello"} {
		if texts, _, err := Unwrap([]byte(bad), 1<<20); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrEmpty) {
			t.Errorf("%s: %q, %v", bad, texts, err)
		}
	}
}

// Of the fields beside data no more and no longer ones are kept than mean
// anything.
func TestFormFieldsAreBounded(t *testing.T) {
	var form strings.Builder
	form.WriteString("data=[]")
	for i := range 2 * maxFields {
		fmt.Fprintf(&form, "&f%d=%s", i, strings.Repeat("x", maxFieldValue))
	}
	_, kept, err := Unwrap([]byte(form.String()), 1<<20)
	if err != nil || len(kept) != maxFields {
		t.Errorf("%d fields, %v", len(kept), err)
	}
	_, kept, err = Unwrap([]byte("data=[]&long="+strings.Repeat("x", maxFieldValue+1)+"&"+strings.Repeat("n", maxFieldName+1)+"=1"), 1<<20)
	if err != nil || len(kept) != 0 {
		t.Errorf("%d fields past their limits, %v", len(kept), err)
	}
}

// What a decoder gave holds until it is used again, though its buffers grow
// meanwhile, and nothing of one request shows in the next.
func TestDecoderIsReused(t *testing.T) {
	var d Decoder
	for round := range 3 {
		var text strings.Builder
		n := 500 * (round + 1)
		for i := range n {
			fmt.Fprintf(&text, `{"event":"e%d\u0021","properties":{"b":"\n%d","a":[ %d ],"token":"t%d","$insert_id":"\t%d"}}`+"\n", i, i, i, i, i)
		}
		batch, err := d.all(Options{}, []byte(text.String()))
		if err != nil || len(batch.Events) != n || len(batch.Failed) != 0 {
			t.Fatalf("%d events, %d failed, %v", len(batch.Events), len(batch.Failed), err)
		}
		for i := range batch.Events {
			e := &batch.Events[i]
			got := fmt.Sprint(e.Name, e.InsertID, batch.Tokens[i], batch.Indexes[i], e.DistinctID, len(e.Properties), e.Properties[0], e.Properties[1])
			want := fmt.Sprint(fmt.Sprintf("e%d!", i), fmt.Sprintf("\t%d", i), fmt.Sprintf("t%d", i), uint32(i), "", 2,
				catalog.Property{Name: "a", Value: catalog.JSON(fmt.Sprintf("[%d]", i))}, catalog.Property{Name: "b", Value: catalog.String(fmt.Sprintf("\n%d", i))})
			if got != want {
				t.Fatalf("event %d: %s, want %s", i, got, want)
			}
		}
	}
	if batch, err := d.all(Options{}, []byte(`{"event":"e"}`), []byte(`[{"event":"f"}]`)); err != nil || len(batch.Events) != 2 {
		t.Errorf("two texts: %v, %v", batch, err)
	}
}

// Lines behind a broken one are read once each, however many there are.
func TestBrokenLinesAreLinear(t *testing.T) {
	const n = 200_000
	text := []byte(strings.Repeat(`{"event":`+"\n", n))
	var d Decoder
	batch, err := d.all(Options{MaxRecords: n}, text)
	if err != nil || len(batch.Failed) != n || batch.Failed[n-1].Index != n-1 {
		t.Fatalf("%d failed, %v", len(batch.Failed), err)
	}
}

func TestSortPropertiesKeepsTheLast(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		kept := make(map[string]int64)
		var all []catalog.Property
		for i := range r.IntN(40) {
			name := fmt.Sprint("p", r.IntN(20))
			kept[name] = int64(i)
			all = append(all, catalog.Property{Name: name, Value: catalog.Int(int64(i))})
		}
		all = sortProperties(all)
		if len(all) != len(kept) {
			t.Fatalf("%v of %v", all, kept)
		}
		for i, p := range all {
			if i > 0 && p.Name <= all[i-1].Name || p.Value.Int() != kept[p.Name] {
				t.Fatalf("%v of %v", all, kept)
			}
		}
	}
}
