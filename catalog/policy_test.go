package catalog

import (
	"errors"
	"testing"
)

func TestPolicyText(t *testing.T) {
	for key := KeyDay; key <= KeyID; key++ {
		for bits := range 16 {
			p := Policy{Disabled: bits&1 != 0, Key: key, Survivor: Survivor(bits >> 1 & 1), Conflict: Conflict(bits >> 2 & 1), Missing: Missing(bits >> 3 & 1)}
			if got, err := ParsePolicy(p.String()); err != nil || got != p {
				t.Errorf("%s: got %v, %v", p, got, err)
			}
		}
	}
	for text, want := range map[string]Policy{
		"":                               {},
		"  \n":                           {},
		"enabled=off":                    {Disabled: true},
		"key=id,survivor=last":           {Key: KeyID, Survivor: SurvivorLast},
		" KEY=exact ,\tMISSING=content ": {Key: KeyExact, Missing: MissingContent},
		"ENABLED=1 CONFLICT=keep":        {Conflict: ConflictKeep},
	} {
		if got, err := ParsePolicy(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"KEY", "KEY=", "KEY=WEEK", "COLOUR=red", "KEY=DAY KEY=DAY", "ENABLED=maybe", "SURVIVOR=0", "=", "KEY = DAY"} {
		if got, err := ParsePolicy(text); !errors.Is(err, ErrPolicy) || got != (Policy{}) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if got, want := DefaultPolicy.String(), "ENABLED=on KEY=DAY SURVIVOR=FIRST CONFLICT=MARK MISSING=NONE"; got != want {
		t.Errorf("the default is %s", got)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(DefaultPolicy.String())
	f.Add("key=id,survivor=last")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy(text)
		if err != nil {
			return
		}
		if again, err := ParsePolicy(p.String()); err != nil || again != p || !p.valid() {
			t.Fatalf("%q gives %s, which gives %s, %v", text, p, again, err)
		}
	})
}
