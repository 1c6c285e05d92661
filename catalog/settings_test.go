package catalog

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestSettingsHaveDefaults(t *testing.T) {
	c := &Catalog{}
	if c.SealAfterBytes() != 32<<20 || c.SealAfterAge() != time.Minute || c.CloseGrace() != 2*time.Hour ||
		c.TrashRetention() != 72*time.Hour || c.DropRetention() != 7*24*time.Hour || c.MaxColumns() != MaxColumns {
		t.Errorf("got %v %v %v %v %v %v", c.SealAfterBytes(), c.SealAfterAge(), c.CloseGrace(), c.TrashRetention(), c.DropRetention(), c.MaxColumns())
	}
	for _, s := range Settings {
		if s.Default < s.Min || s.Default > s.Max || s.Doc == "" {
			t.Errorf("%+v", s)
		}
		for _, v := range []int64{s.Default, s.Min, s.Max} {
			if got, err := s.Parse(s.Format(v)); err != nil || got != v {
				t.Errorf("%s: %s gives %d, %v", s.Name, s.Format(v), got, err)
			}
		}
		if got, ok := c.Setting(s.Name); !ok || got != s.Format(s.Default) {
			t.Errorf("%s is %s", s.Name, got)
		}
	}
	if _, ok := c.Setting("nope"); ok {
		t.Error("there is a setting nope")
	}
}

// TestSettingsBounds sets each setting to its bounds and one past them.
func TestSettingsBounds(t *testing.T) {
	text := func(s Setting, n int64) string {
		if s.Unit == UnitDuration {
			return fmt.Sprintf("%dns", n)
		}
		return fmt.Sprint(n)
	}
	for _, s := range Settings {
		for _, n := range []int64{s.Min, s.Max} {
			c := apply(t, &Catalog{}, SetSetting{s.Name, text(s, n)})
			if got := c.setting(&s); got != n {
				t.Errorf("%s = %d: got %d", s.Name, n, got)
			}
			back, err := DecodeCatalog(c.Encode())
			if err != nil || back.setting(&s) != n {
				t.Errorf("%s = %d, encoded and decoded: got %d, %v", s.Name, n, back.setting(&s), err)
			}
			if c = apply(t, c, SetSetting{s.Name, ""}); c.setting(&s) != s.Default || c.Settings != nil {
				t.Errorf("%s has no default again: %v", s.Name, c.Settings)
			}
		}
		for _, n := range []int64{s.Min - 1, s.Max + 1} {
			if _, err := (&Catalog{}).Apply(SetSetting{s.Name, text(s, n)}); !errors.Is(err, ErrSetting) {
				t.Errorf("%s = %d: %v", s.Name, n, err)
			}
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1B": 1, "512KiB": 512 << 10, "32 MiB": 32 << 20, "1GiB": 1 << 30,
	} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1MB", "99999999999GiB", "9223372036854775808"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 1536: "1536", 3 << 20: "3MiB", 1 << 30: "1GiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d: got %s", n, got)
		}
	}
}

// TestUnknownSettingSurvives: one that a newer arbor has set is kept, and does
// no harm here.
func TestUnknownSettingSurvives(t *testing.T) {
	c := &Catalog{NextProject: 1, Settings: map[string]string{"of_tomorrow": "7", SettingMaxColumns: "none"}}
	back, err := DecodeCatalog(c.Encode())
	if err != nil || back.Settings["of_tomorrow"] != "7" {
		t.Fatal(back, err)
	}
	if back.MaxColumns() != MaxColumns {
		t.Errorf("got %d", back.MaxColumns())
	}
}
