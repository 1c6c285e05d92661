package track

import (
	"encoding/json"
	"testing"
)

// FuzzProfiles reads updates of any bytes and applies them: what a profile then has
// can be written, and read again.
func FuzzProfiles(f *testing.F) {
	f.Add([]byte(`[{"$token":"t","$distinct_id":1,"$set":{"a":1e400},"$add":{"a":1,"b":-2},"$append":{"l":null},"$union":{"l":[1,1]},"$remove":{"l":1},"$unset":["a"],"$delete":""}]`), false)
	f.Add([]byte(`{"$group_key":"k","$group_id":"g","$set_once":{"x":[{}]}}`), true)
	f.Fuzz(func(t *testing.T, b []byte, groups bool) {
		all, _, err := DecodeProfiles([][]byte{b}, groups, 10)
		if err != nil {
			return
		}
		properties := map[string]any{"l": "x", "a": json.Number("9223372036854775807")}
		for i := range all {
			all[i].Apply(properties)
		}
		text, err := json.Marshal(properties)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &map[string]json.RawMessage{}); err != nil {
			t.Error(err)
		}
	})
}

func TestProfileApply(t *testing.T) {
	for _, c := range []struct{ before, update, after string }{
		{`{}`, `"$set":{"a":1}`, `{"a":1}`},
		{`{"a":2}`, `"$set_once":{"a":1,"b":null}`, `{"a":2,"b":null}`},
		{`{"a":9223372036854775807}`, `"$add":{"a":1}`, `{"a":9223372036854776000}`},
		{`{"a":-9223372036854775808}`, `"$add":{"a":-1}`, `{"a":-9223372036854776000}`},
		{`{"a":"text","b":1}`, `"$add":{"a":2,"b":-1,"c":0.5}`, `{"a":2,"b":0,"c":0.5}`},
		{`{"a":1}`, `"$append":{"a":2,"b":[3]}`, `{"a":[1,2],"b":[[3]]}`},
		{`{"a":[1,"x"]}`, `"$union":{"a":["x",{"k":1},{"k":1}]}`, `{"a":[1,"x",{"k":1}]}`},
		{`{"a":[1,2,1],"b":1}`, `"$remove":{"a":1,"b":1,"c":1}`, `{"a":[2],"b":1}`},
		{`{"a":1,"b":2}`, `"$unset":["a","c"]`, `{"b":2}`},
	} {
		all, failed, err := DecodeProfiles([][]byte{[]byte(`{"$distinct_id":"u",` + c.update + `}`)}, false, 1)
		if err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
		before, failed, err := DecodeProfiles([][]byte{[]byte(`{"$distinct_id":"u","$set":` + c.before + `}`)}, false, 1)
		if err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
		properties := before[0].Set
		all[0].Apply(properties)
		if got, err := json.Marshal(properties); err != nil || string(got) != c.after {
			t.Errorf("%s after %s: %s, %v; want %s", c.before, c.update, got, err, c.after)
		}
	}
	if _, _, err := DecodeProfiles([][]byte{[]byte(`[{},{}]`)}, false, 1); err == nil {
		t.Error("more updates than are allowed are taken")
	}
}
