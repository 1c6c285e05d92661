package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

func TestByHidden(t *testing.T) {
	lists := make([][]uint32, maxHiddenLists+1)
	for i := range lists {
		lists[i] = []uint32{7, 9} // of equal rows, but not one list
	}
	var b byHidden[int]
	if _, ok := b.get(lists[0]); ok {
		t.Error("something is kept from the beginning")
	}
	for i, l := range lists[:maxHiddenLists] {
		if _, full := b.put(l, i); full {
			t.Errorf("%d lists have no room", i+1)
		}
	}
	for i, l := range lists[:maxHiddenLists] { // so that the last asked for is the last of them
		if made, ok := b.get(l); !ok || made != i {
			t.Errorf("list %d has %d, %v", i, made, ok)
		}
	}
	b.get(lists[0])
	if dropped, full := b.put(lists[maxHiddenLists], maxHiddenLists); !full || dropped != 1 {
		t.Errorf("one list more has %d dropped, %v; it was the second that was asked for longest ago", dropped, full)
	}
	if _, ok := b.get(lists[1]); ok {
		t.Error("what was dropped is kept")
	}
	b.remove(lists[0])
	b.remove(lists[1]) // which changes nothing
	if _, ok := b.get(lists[0]); ok || len(b.lists) != maxHiddenLists-1 {
		t.Errorf("what was removed is kept, among %d", len(b.lists))
	}
	if _, full := b.put(nil, 42); full {
		t.Error("what was removed has left no room")
	}
	if made, ok := b.get([]uint32{}); !ok || made != 42 {
		t.Errorf("without hidden rows there is %d, %v", made, ok)
	}
}

// openCopies opens a shard of one file with duplicates.
func openCopies(t *testing.T) *Engine {
	t.Helper()
	e := openSample(t, vfs.NewMem(), "data")
	e.opts.Functions = dayFunctions{}
	s := newSample()
	for range 10 {
		b := s.batch(3000)
		copiesOf(s, b)
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	return e
}

// keptOf names all that a shard's files keep of groups, pairs and counts, by where it is
// in memory: what is made anew has another name.
func keptOf(t *testing.T, e *Engine) (all []string) {
	t.Helper()
	v, err := sampleShard(e).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	for _, f := range v.files.files {
		for _, of := range f.groups.known {
			for _, l := range of.lists {
				if l.made.groups != nil {
					all = append(all, fmt.Sprintf("groups %p", l.made.groups))
				}
			}
		}
		for _, p := range f.pairs.known {
			all = append(all, fmt.Sprintf("pairs %p", p))
			for _, l := range p.visible.lists {
				all = append(all, fmt.Sprintf("pairs %p", l.made))
			}
		}
		for _, of := range f.visible.known {
			for _, l := range of.lists {
				all = append(all, fmt.Sprintf("counts %p", l.made))
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestKeptOfPoliciesInTurn asks about events as three policies show them, and about all
// copies, in turn: what was made for each is there when its turn comes again.
func TestKeptOfPoliciesInTurn(t *testing.T) {
	skipShort(t)
	e := openCopies(t)
	questions := keptQuestions()
	for name, f := range pairQuestions() {
		questions["pairs: "+name] = f
	}
	turn := func() {
		t.Helper()
		for _, f := range questions {
			for _, policy := range []*catalog.Policy{nil, {Key: 1}, {Disabled: true}} {
				for _, copies := range []bool{false, true} {
					f.Project, f.Copies, f.Policy = sampleProject, copies, policy
					pairAnswer(t, e, f)
				}
			}
		}
	}
	turn()
	turn() // which makes groups
	kept := keptOf(t, e)
	if len(kept) < 3*len(questions)/2 {
		t.Errorf("of %d questions only %v is kept", len(questions), kept)
	}
	turn()
	if now := keptOf(t, e); !slices.Equal(now, kept) {
		t.Errorf("kept was\n%v\nand is, after the same questions,\n%v", kept, now)
	}
}

// TestKeptRoom asks for something new where there is no room: it is made in place of what
// was not asked for in a while, and of nothing else.
func TestKeptRoom(t *testing.T) {
	e := openCopies(t)
	ask := func(name string) (tallied bool) {
		t.Helper()
		f, ok := keptQuestions()[name]
		if !ok {
			f = pairQuestions()[name]
		}
		f.Project = sampleProject
		_, rows := pairAnswer(t, e, f)
		return rows > 0
	}
	for _, name := range []string{"sums", "sums", "both"} {
		ask(name)
	}
	held := e.pairBytes.Load()
	e.pairBytes.Add(maxPairBytes - held) // others' files take the rest
	ask("others")
	if ask("others") {
		t.Error("something is made where there is no room")
	}
	made := keptOf(t, e)
	e.questions.Store(2 + keptIdle - 1) // "sums" was last asked for by the second question, and will be keptIdle old
	if ask("others") {
		t.Error("something takes the place of what was asked for a moment ago")
	}
	if got := e.pairBytes.Load(); got != maxPairBytes {
		t.Errorf("%d bytes are held, want %d", got, int64(maxPairBytes))
	}
	e.questions.Add(keptLook - 2)
	if ask("others") {
		t.Error("it is looked for room again after a few questions")
	}
	if !ask("others") {
		t.Error("nothing takes the place of what was not asked for in a while")
	}
	for _, name := range keptOf(t, e) {
		if slices.Contains(made, name) && !strings.HasPrefix(name, "counts") {
			t.Errorf("%s is still there", name)
		}
	}
	v, err := sampleShard(e).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	for _, f := range v.files.files {
		f.groups.drop()
		f.pairs.drop()
	}
	if left := e.pairBytes.Load(); left != maxPairBytes-held {
		t.Errorf("%d bytes are left, want those of others, %d", left, maxPairBytes-held)
	}
}

// TestKeptWhileEventsCome asks while events are logged, some of them copies of indexed
// ones, where copies are in several files: who is hidden in a file stays the same, and so
// does what is kept of it.
func TestKeptWhileEventsCome(t *testing.T) {
	skipShort(t)
	e := openSample(t, vfs.NewMem(), "data")
	e.opts.Functions = dayFunctions{}
	s := newSample()
	append1 := func(b *event.Batch) {
		t.Helper()
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
	}
	again := func(of *event.Batch) *event.Batch {
		b := s.batch(len(of.Events))
		for i := range b.Events {
			id := b.Events[i].ID
			b.Events[i] = of.Events[i]
			b.Events[i].ID = id
		}
		return b
	}
	var last *event.Batch
	for range 2 {
		for range 5 {
			b := s.batch(3000)
			copiesOf(s, b)
			append1(b)
			if last != nil {
				append1(again(last))
			}
			last = b
		}
		if err := e.Index(context.Background(), 0, false); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(sampleShard(e).files()); n != 2 {
		t.Fatalf("there are %d files", n)
	}
	for _, policy := range []*catalog.Policy{nil, {Key: 1}} {
		ask := func() {
			t.Helper()
			for _, questions := range []map[string]*exec.Fragment{keptQuestions(), pairQuestions()} {
				for _, f := range questions {
					f.Project, f.Policy = sampleProject, policy
					pairAnswer(t, e, f)
				}
			}
		}
		ask()
		ask()
		kept := keptOf(t, e)
		if len(kept) == 0 {
			t.Fatal("nothing is kept")
		}
		for range maxHiddenLists + 1 {
			append1(again(last))
			append1(s.batch(10))
			ask()
		}
		if now := keptOf(t, e); !slices.Equal(now, kept) {
			t.Errorf("policy %v: kept was\n%v\nand is, after events came,\n%v", policy, kept, now)
		}
	}
}

// TestOldestGoesFirst asks for more kinds of groups and of pairs than a file keeps, and
// for one of each again and again: those stay.
func TestOldestGoesFirst(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	newSample().fill(t, e, 9000, 3000)
	if err := e.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	property := func(name string) exec.Column {
		return exec.Column{Source: exec.SourceProperty, Property: name, Type: catalog.TypeString}
	}
	count := []exec.Aggregate{{Op: exec.AggCount}}
	pairs := func(a, b string) *exec.Fragment {
		return &exec.Fragment{Project: sampleProject, Columns: []exec.Column{property(a), property(b)}, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: count}}
	}
	groups := func(op exec.AggregateOp, of string, keys ...string) *exec.Fragment {
		f := &exec.Fragment{Project: sampleProject, Group: &exec.Group{}}
		for i, k := range keys {
			f.Columns = append(f.Columns, property(k))
			f.Group.Keys = append(f.Group.Keys, i)
		}
		f.Columns = append(f.Columns, exec.Column{Source: exec.SourceProperty, Property: of, Type: catalog.TypeDouble})
		f.Group.Aggregates = []exec.Aggregate{{Op: op, Args: []int{len(keys)}}}
		return f
	}
	hot := []*exec.Fragment{pairs("plan", "$os"), groups(exec.AggSum, "price", "plan", "$os")}
	for _, f := range append(slices.Clone(hot), hot...) {
		pairAnswer(t, e, f)
	}
	first := keptOf(t, e)
	if len(first) < 2 {
		t.Fatalf("%v is kept of two questions", first)
	}
	names := []string{"$browser", "$os", "country", "plan", "screen_w"}
	for i, a := range names {
		for _, b := range names[:i] {
			for _, f := range []*exec.Fragment{pairs(a, b), groups(exec.AggSum, "price", a, b), groups(exec.AggMax, "price", a, b), groups(exec.AggMin, "price", a, b), groups(exec.AggVarPop, "price", a, b)} {
				pairAnswer(t, e, f)
			}
			for _, f := range hot {
				pairAnswer(t, e, f)
			}
		}
	}
	now := keptOf(t, e)
	for _, name := range first {
		if !slices.Contains(now, name) {
			t.Errorf("%s was asked for again and again, and is gone", name)
		}
	}
	f := sampleShard(e).files()[0]
	if len(f.groups.known) != maxKeptGroups || len(f.pairs.known) != maxPairTallies {
		t.Errorf("%d kinds of groups and %d of pairs are known, want %d and %d", len(f.groups.known), len(f.pairs.known), maxKeptGroups, maxPairTallies)
	}
}
