package track

import (
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
)

// FuzzTranslate holds whatever becomes of a text in any dialect to what every
// record of a decoder keeps.
func FuzzTranslate(f *testing.F) {
	for _, text := range []string{
		`{"batch":[{"type":"track","event":"a","userId":"u","messageId":"m","timestamp":"2026-11-20T03:04:05Z","properties":{"n":1.50,"x":[1,{"y":null}]}},17],"writeKey":"t"}`,
		`[{"event":"a","properties":{"token":"t","distinct_id":"u"},"timestamp":"2026-11-20T03:04:05Z","uuid":""}]`,
		`{"api_key":"t","events":[{"event_type":"a","user_id":7,"time":1795143845678,"event_properties":{"":{}}}]}`,
		`{"data":[{"e":"ue","aid":"t","ue_pr":"{\"data\":{\"schema\":\"iglu:a/b/jsonschema/1-0-0\",\"data\":{\"n\":1}}}","cx":"e30"},{"e":"pv"}]}`,
		`{"batch":[`, `{}`, `[[]]`, "{\"event\":\"\xff\"}", `{"properties":[],"event":"a"}`,
		"{\"event\":\"a\",\"properties\":{\"\xff\":[]}}",
	} {
		for d := Segment; d <= Snowplow; d++ {
			f.Add(uint8(d), []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text []byte) {
		var d Decoder
		from := Segment + Dialect(which)%Snowplow
		taken := 0
		failed, err := d.Translate(from, "", [][]byte{text}, Options{}, func(r *Record) error {
			taken++
			e := r.Event
			if e.ServerTime {
				e.Time = 1_795_143_845_000_000
			}
			if limits := event.CheckLimits(&e); limits == nil {
				if err := event.Check(&e); err != nil {
					t.Errorf("a record within the limits is not an event: %v", err)
				}
			}
			for _, p := range e.Properties {
				if p.Value.Kind == catalog.KindJSON && len(p.Value.Text) == 0 {
					t.Errorf("property %q is an empty text of JSON", p.Name)
				}
			}
			return nil
		})
		if err == nil && taken+len(failed) == 0 {
			t.Error("nothing was taken, refused or wrong")
		}
		DialectOf(text)
	})
}
