package exec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// orderedTexts is a dictionary of texts, given in pieces whose memory is used again.
func orderedTexts(t testing.TB, texts []string, piece int, read *int) *Dictionary {
	values := func() (arrow.Array, error) {
		if read != nil {
			*read++
		}
		return valueArray(catalog.TypeString, len(texts), func(i int) catalog.Value { return catalog.String(texts[i]) })
	}
	return NewDictionary(new(int), len(texts), values).Ordered(func(yield func([]byte, []uint32) error) error {
		var room []byte
		for lo := 0; lo < len(texts); lo += piece {
			var ends []uint32
			room = room[:0]
			for _, s := range texts[lo:min(lo+piece, len(texts))] {
				room = append(room, s...)
				ends = append(ends, uint32(len(room)))
			}
			if err := yield(room, ends); err != nil {
				return err
			}
			for i := range room {
				room[i] = 'x'
			}
		}
		return nil
	})
}

// someTexts are some of many texts, in order.
func someTexts(r *rand.Rand, of, n int) []string {
	var texts []string
	for range n {
		texts = append(texts, fmt.Sprintf("user %d", r.IntN(of)))
	}
	if r.IntN(3) == 0 {
		texts = append(texts, "")
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// TestOrderedTexts numbers the entries of ordered dictionaries, beside others, from several
// goroutines, and finds that each text has one number, and each number one text.
func TestOrderedTexts(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 300 {
		d := NewDomain(catalog.TypeString)
		of := 1 + r.IntN(400)
		var lists [][]string
		var dictionaries []*Dictionary
		read, plain := make([]int, 12), r.IntN(3) == 0
		for k := range 12 {
			texts := someTexts(r, of, r.IntN(1+r.IntN(300)))
			dictionary := orderedTexts(t, texts, 1+r.IntN(50), &read[k])
			if plain && k%4 == 1 {
				r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
				dictionary.ordered = nil
			}
			lists, dictionaries = append(lists, texts), append(dictionaries, dictionary)
		}
		numbers := make([][]uint32, len(lists))
		var all sync.WaitGroup
		for worker := range 3 {
			all.Go(func() {
				for k := range dictionaries {
					got, err := d.translate(dictionaries[k])
					if err != nil {
						t.Error(err)
					}
					if k%3 == worker {
						numbers[k] = got
					}
				}
			})
		}
		all.Wait()
		byText := map[string]uint32{}
		for k, texts := range lists {
			if len(numbers[k]) != max(1, len(texts)) {
				t.Fatalf("seed %d round %d: %d numbers of %d entries", seed, round, len(numbers[k]), len(texts))
			}
			for i, s := range texts {
				n := numbers[k][i]
				if known, ok := byText[s]; ok && known != n || n == nullID || d.all()[n].Text != s {
					t.Fatalf("seed %d round %d: %q is number %d, and number %d is %q", seed, round, s, n, n, d.all()[n].Text)
				}
				byText[s] = n
			}
			if read[k] > 0 && dictionaries[k].ordered != nil {
				t.Errorf("seed %d round %d: an ordered dictionary is read whole", seed, round)
			}
		}
		if d.Len() != len(byText)+1 {
			t.Fatalf("seed %d round %d: %d numbers for %d texts", seed, round, d.Len(), len(byText))
		}
		for s, n := range byText { // by hash
			if got := d.Number(catalog.String(s)); got != n {
				t.Fatalf("seed %d round %d: %q is number %d, and %d before", seed, round, s, got, n)
			}
		}
		if got := d.Number(catalog.String("another")); int(got) != len(byText)+1 {
			t.Errorf("seed %d round %d: another text is number %d of %d", seed, round, got, len(byText))
		}
	}
}

// TestNotOrdered reads a dictionary whole whose entries do not ascend, or come twice, and
// says what is wrong with one of another length.
func TestNotOrdered(t *testing.T) {
	for _, texts := range [][]string{{"b", "a"}, {"a", "a"}, {"a", "b", "", "c"}} {
		for piece := range 4 {
			read := 0
			d := NewDomain(catalog.TypeString)
			d.Number(catalog.String("b"))
			numbers, err := d.translate(orderedTexts(t, texts, piece+1, &read))
			if err != nil || read != 1 {
				t.Fatalf("%q, %d at a time: %v, read %d times", texts, piece+1, err, read)
			}
			for i, s := range texts {
				if d.all()[numbers[i]].Text != s {
					t.Errorf("%q, %d at a time: %q is number %d", texts, piece+1, s, numbers[i])
				}
			}
		}
	}
	for _, n := range []int{1, 3} {
		dictionary := orderedTexts(t, []string{"a", "b"}, 2, nil)
		dictionary.Len = n
		if _, err := NewDomain(catalog.TypeString).translate(dictionary); !errors.Is(err, ErrArray) {
			t.Errorf("2 entries of a dictionary of %d: %v", n, err)
		}
	}
}
