package gateway

import (
	"sync"
	"time"
)

// maxZones bounds the time zones that are kept; the tz database has fewer.
const maxZones = 1024

// zoneCache keeps the time zones that were asked for: each is a file otherwise.
type zoneCache struct {
	mu    sync.RWMutex
	zones map[string]*time.Location
	steps map[string]int64 // of some of them
}

// named finds a zone of the tz database.
func (c *zoneCache) named(name string) (*time.Location, bool) {
	c.mu.RLock()
	l, ok := c.zones[name]
	c.mu.RUnlock()
	if ok {
		return l, l != nil
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.zones == nil || len(c.zones) >= maxZones {
		c.zones, c.steps = make(map[string]*time.Location), make(map[string]int64)
	}
	c.zones[name] = l
	return l, true
}

// stepsNamed is the period of which all offsets of a zone since 1970 are multiples, and
// all moments at which its clocks change: an hour for most, 0 for a zone that is not known.
func (c *zoneCache) stepsNamed(name string) int64 {
	l, ok := c.named(name)
	if !ok {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	steps, known := c.steps[name]
	if !known {
		steps = stepsOfZone(l)
		c.steps[name] = steps
	}
	return steps
}

const (
	// lastZoneYear is the last year in which moments are moved to other zones.
	lastZoneYear = 3000
	// rulesUntil is a year by which each zone goes by a rule, the same for all years.
	rulesUntil = 2100
)

func stepsOfZone(l *time.Location) int64 {
	steps := int64(periodDay)
	take := func(seconds int64) {
		for _, p := range []int64{periodDay, periodHour, periodMinute, periodSecond} {
			if p <= steps && seconds*periodSecond%p == 0 {
				steps = p
				return
			}
		}
	}
	for at := time.Unix(0, 0).In(l); at.Year() < rulesUntil; {
		_, offset := at.Zone()
		take(int64(offset))
		_, end := at.ZoneBounds()
		if end.IsZero() {
			break
		}
		if _, after := end.Zone(); after != offset { // tables also end somewhere without a change
			take(end.Unix())
		}
		if !end.After(at) { // it can be so at the end of a year that only a rule tells of
			end = at.Add(24 * time.Hour)
		}
		at = end
	}
	return steps
}
