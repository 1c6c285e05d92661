package gateway

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"

	"arbor/catalog"
	"arbor/engine/exec"
)

// TestLikeOperators holds what is pushed for random patterns against the SQL
// library's own LIKE.
func TestLikeOperators(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	draw := func(most int, of ...string) string {
		var b strings.Builder
		for range rng.IntN(most + 1) {
			b.WriteString(of[rng.IntN(len(of))])
		}
		return b.String()
	}
	pushed, matched := map[exec.Op]int{}, 0
	for range 5000 {
		escape := []rune{'\\', '!', 'a', 'é', 0}[rng.IntN(5)]
		pattern := draw(7, "%", "%", "_", "a", "b", "é", "日", `\`, "!", `\%`, "!_", "\x00")
		stock, err := expression.ConstructLikeMatcher(sql.Collation_utf8mb4_bin, pattern, escape)
		op, text, ok := likeOperator(pattern, escape)
		if ok != (err == nil) {
			t.Fatalf("%q escaped by %q: pushed %v, but the library says %v", pattern, escape, ok, err)
		}
		if !ok {
			continue
		}
		pushed[op]++
		texts := make([]string, 20)
		b := array.NewStringBuilder(memory.DefaultAllocator)
		for i := range texts {
			texts[i] = draw(8, "a", "b", "ab", "é", "日", "%", "_", `\`, "!", "\x00")
			b.Append(texts[i])
		}
		f := &exec.Fragment{Columns: []exec.Column{{Source: exec.SourceEvent}}, Filter: &exec.Expr{Op: op, Values: []catalog.Value{catalog.String(text)}}}
		if err := f.Validate(); err != nil {
			t.Fatal(err)
		}
		selected := exec.NewBitmap(len(texts))
		selected.Fill(len(texts))
		if err := exec.NewFilter(f).Select([]arrow.Array{b.NewArray()}, len(texts), selected); err != nil {
			t.Fatal(err)
		}
		for i, s := range texts {
			want := stock.Match(s)
			if selected.Has(i) != want {
				t.Fatalf("%q LIKE %q ESCAPE %q: %v, the library says %v", s, pattern, escape, !want, want)
			}
			if want {
				matched++
			}
		}
	}
	for _, op := range []exec.Op{exec.OpEqual, exec.OpPrefix, exec.OpLike} {
		if pushed[op] < 100 {
			t.Errorf("operator %d came %d times", op, pushed[op])
		}
	}
	if matched < 1000 {
		t.Errorf("only %d texts matched", matched)
	}
}
