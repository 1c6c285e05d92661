package catalog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Time inside arbor is microseconds since 1970 UTC, as MySQL's DATETIME(6) has it.
const (
	Microsecond int64 = 1
	Millisecond       = 1000 * Microsecond
	Second            = 1000 * Millisecond
	DayMicros         = 86_400 * Second
)

// ProjectID names a project for ever; ids are never reused.
type ProjectID uint32

// Day is a UTC day, counted from 1970-01-01.
type Day int32

// DayOf is the UTC day that holds the moment t, in microseconds since 1970.
func DayOf(t int64) Day {
	d := t / DayMicros
	if t%DayMicros < 0 {
		d--
	}
	return Day(d)
}

// Start is the day's first microsecond; the day ends before (d+1).Start().
func (d Day) Start() int64 { return int64(d) * DayMicros }

// String is the day as 2006-01-02.
func (d Day) String() string { return time.UnixMicro(d.Start()).UTC().Format(time.DateOnly) }

// ShardKey names a shard: the unit of dedupe, placement and files. All copies
// of one event fall into the same shard, since its parts are parts of the
// event's logical key.
type ShardKey struct {
	Project ProjectID
	Day     Day
	Bucket  uint16
}

// String is the shard as project/day/bucket, which is also its directory.
func (k ShardKey) String() string { return fmt.Sprintf("%d/%s/%d", k.Project, k.Day, k.Bucket) }

// ParseShardKey is the inverse of ShardKey.String.
func ParseShardKey(s string) (k ShardKey, ok bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return k, false
	}
	project, err := strconv.ParseUint(parts[0], 10, 32)
	day, err2 := time.Parse(time.DateOnly, parts[1])
	bucket, err3 := strconv.ParseUint(parts[2], 10, 16)
	k = ShardKey{Project: ProjectID(project), Day: DayOf(day.UnixMicro()), Bucket: uint16(bucket)}
	return k, err == nil && err2 == nil && err3 == nil && k.String() == s
}

// Compare orders shards by project, day and bucket.
func (k ShardKey) Compare(o ShardKey) int {
	switch {
	case k.Project != o.Project:
		return compareUint(uint64(k.Project), uint64(o.Project))
	case k.Day != o.Day:
		if k.Day < o.Day {
			return -1
		}
		return 1
	default:
		return compareUint(uint64(k.Bucket), uint64(o.Bucket))
	}
}

func compareUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Slot is all days of a project's users in one bucket: what replicas hold together.
type Slot struct {
	Project ProjectID
	Bucket  uint16
}

// Slot is the one that the shard falls into.
func (k ShardKey) Slot() Slot { return Slot{k.Project, k.Bucket} }

// String is the slot as project/bucket.
func (s Slot) String() string { return fmt.Sprintf("%d/%d", s.Project, s.Bucket) }

// Compare orders slots by project and bucket.
func (s Slot) Compare(o Slot) int {
	if c := compareUint(uint64(s.Project), uint64(o.Project)); c != 0 {
		return c
	}
	return compareUint(uint64(s.Bucket), uint64(o.Bucket))
}

// UserBucket places a user among count buckets. An empty distinct id is placed
// by its insert id, so that anonymous events spread while their duplicates
// stay together. The function is part of the format: changing it would part
// duplicates from their originals.
func UserBucket(distinctID, insertID string, count uint16) uint16 {
	if count <= 1 {
		return 0
	}
	s := distinctID
	if s == "" {
		s = insertID
	}
	return uint16(mix64(fnv64(s)) % uint64(count))
}

// fnv64 is the 64-bit FNV-1a hash.
func fnv64(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix64 is the finaliser of MurmurHash3: it spreads FNV's weak low bits.
func mix64(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
