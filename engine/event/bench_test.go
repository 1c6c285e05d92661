package event

import "testing"

// The benchmarks count one event of 12 properties as one operation.

func BenchmarkEncode(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"one", 1}, {"thousand", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			batch := typical(c.n)
			var buf []byte
			b.ReportAllocs()
			for i := 0; i < b.N; i += c.n {
				buf, _ = AppendBatch(buf[:0], batch)
			}
			b.ReportMetric(float64(len(buf))/float64(c.n), "B/event")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"one", 1}, {"thousand", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			rec := mustEncode(b, typical(c.n))
			var into Batch
			b.ReportAllocs()
			for i := 0; i < b.N; i += c.n {
				if err := DecodeBatch(rec, &into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	e := &typical(1).Events[0]
	var d Digest
	b.ReportAllocs()
	for b.Loop() {
		d.AddEvent(e)
	}
}

func BenchmarkPayloadHash(b *testing.B) {
	e := &typical(1).Events[0]
	b.ReportAllocs()
	for b.Loop() {
		PayloadHash(e)
	}
}

func BenchmarkCheck(b *testing.B) {
	e := &typical(1).Events[0]
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, c := range []struct {
		name string
		n    int
	}{{"one", 1}, {"thousand", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			rec := mustEncode(b, typical(c.n))
			var w Walker
			var rest Batch
			b.ReportAllocs()
			for i := 0; i < b.N; i += c.n {
				if err := w.Begin(rec); err != nil {
					b.Fatal(err)
				}
				for w.Next() != nil {
				}
				if err := w.End(&rest); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
