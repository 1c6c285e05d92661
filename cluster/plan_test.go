package cluster

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
	"arbor/engine/exec"
)

func TestTablesComeBack(t *testing.T) {
	for _, table := range []*exec.Table{
		{Columns: []exec.TableColumn{{Name: "a", Type: catalog.TypeInt}}},
		{Columns: []exec.TableColumn{{Name: "project", Type: catalog.TypeInt}, {Name: "", Type: catalog.TypeString}},
			Rows: [][]catalog.Value{{catalog.Int(-1), catalog.String("ü")}, {catalog.Null, catalog.Null}, {catalog.Double(-0.5), catalog.Bool(true)}}},
	} {
		b := appendTable(nil, table)
		got, err := decodeTable(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(table, got); d != "" {
			t.Error(d)
		}
		for n := range b {
			if _, err := decodeTable(b[:n]); !errors.Is(err, errTable) {
				t.Errorf("%d of %d bytes: %v", n, len(b), err)
			}
		}
		if _, err := decodeTable(append(b, 0)); !errors.Is(err, errTable) {
			t.Errorf("one byte more: %v", err)
		}
	}
	m := withMember(&exec.Table{Columns: []exec.TableColumn{{Name: "a", Type: catalog.TypeInt}}, Rows: [][]catalog.Value{{catalog.Int(1)}}}, "abc")
	if len(m.Columns) != 2 || m.Columns[1].Name != "member" || m.Rows[0][1].Text != "abc" {
		t.Errorf("%+v", m)
	}
}

// TestFaultsComeBack: what an error is survives its way to another member, where every
// replica would say the same; the others stay at home.
func TestFaultsComeBack(t *testing.T) {
	for _, f := range faultCodes {
		was := fmt.Errorf("execute: %w: more than 7", f.err)
		b, ok := faults{}.Encode(was)
		if !ok {
			t.Fatalf("%v stays at home", was)
		}
		if got := (faults{}).Decode(b); !errors.Is(got, f.err) || got.Error() != was.Error() {
			t.Errorf("%v came back as %v", was, got)
		}
	}
	if _, ok := (faults{}).Encode(errors.New("a file is damaged")); ok {
		t.Error("another replica's file may be whole")
	}
	if err := (faults{}).Decode(nil); !errors.Is(err, errPlan) {
		t.Error(err)
	}
	if err := (faults{}).Decode([]byte("\xffnews")); err.Error() != "news" {
		t.Errorf("the error of a newer arbor: %v", err)
	}
}
