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
		c.zones = make(map[string]*time.Location)
	}
	c.zones[name] = l
	return l, true
}
