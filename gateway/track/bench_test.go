package track

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// sampleEvents writes n events of the shape that web SDKs send, about 330 bytes
// each, one a line.
func sampleEvents(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"page_view", "product_view", "search", "click", "add_to_cart", "purchase"}
	systems := []string{"Windows", "iOS", "Android", "Mac OS X"}
	var b strings.Builder
	for range n {
		name := names[r.IntN(len(names))]
		fmt.Fprintf(&b, `{"event":"%s","properties":{"time":%d,"distinct_id":"user_%d","$insert_id":"%08x-%04x-4%03x-8%03x-%012x","$os":"%s","$browser":"Chrome","mp_country_code":"US","plan":"free","screen_w":%d,`,
			name, 1794182400000+r.Int64N(86_400_000), r.IntN(200_000), r.Uint32(), r.Uint32()&0xffff, r.Uint32()&0xfff, r.Uint32()&0xfff, r.Uint64()&0xffffffffffff,
			systems[r.IntN(len(systems))], 360+r.IntN(2000))
		if name == "purchase" || name == "product_view" {
			fmt.Fprintf(&b, `"price":%d.%02d,`, r.IntN(300), 1+r.IntN(9))
		}
		fmt.Fprintf(&b, `"url":"https://shop.example.com/products/wireless-mouse-%d","utm_source":"newsletter"}}`+"\n", r.IntN(20_000))
	}
	return []byte(b.String())
}

// BenchmarkDecode reads requests of 2,000 events; its ns/event is the cost of a
// core per event.
func BenchmarkDecode(b *testing.B) {
	const events = 2000
	lines := sampleEvents(events)
	array := "[" + strings.Join(strings.Split(strings.TrimSpace(string(lines)), "\n"), ",") + "]"
	for name, text := range map[string][]byte{"lines": lines, "array": []byte(array)} {
		b.Run(name, func(b *testing.B) {
			var d Decoder
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				if _, err := d.Decode([][]byte{text}, Options{}, func(*Record) error { n++; return nil }); err != nil || n != events {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
		})
	}
}
