package indexfile

import (
	"fmt"
	"strings"
	"testing"
)

func TestInsertKey(t *testing.T) {
	lower := "0123abcd-ef01-4234-8567-89abcdefABCD"[:32] + "abcd"
	for _, id := range []string{"", lower, strings.ToUpper(lower), strings.ReplaceAll(lower, "-", ""),
		strings.ToUpper(strings.ReplaceAll(lower, "-", "")), strings.Repeat("1", 32), "0123ABCD" + lower[8:], "x" + lower[1:], "short", strings.Repeat("é", 18)} {
		var b [16]byte
		form := packID(&b, id)
		if form != FormNone && form != FormText {
			if got := string(appendID(nil, form, &b)); got != id {
				t.Errorf("%q packs to %q", id, got)
			}
		}
		k := InsertKeyOf(id)
		if k.Form != form {
			t.Errorf("%q: key form %d, packed form %d", id, k.Form, form)
		}
	}
	if a, b := InsertKeyOf(lower), InsertKeyOf(strings.ToUpper(lower)); a == b {
		t.Error("case is not told apart")
	}
	if fmt.Sprint(InsertKeyOf("0123ABCD"+lower[8:]).Form) != fmt.Sprint(FormText) {
		t.Error("mixed case must be text")
	}
}
