package engine

import (
	"arbor/engine/dot"
	"arbor/engine/indexfile"
)

// Faults are the mistakes that the engine's gates must catch, for tests only:
// each field that is set makes the engine do wrong on purpose.
type Faults struct {
	// Row is called with each row before it goes into a new file. It may change
	// the row, and says how often it is written: once is right.
	Row func(r *indexfile.Row) (times int)
	// Overwrite makes a build forget the rows of all its sources but the newest,
	// as if it had been the first of the day: the fault of 2016.
	Overwrite bool
	// Written is called with the path of each new file before it is proven.
	Written func(path string)
	// Dots gives the dots that a new file names, instead of those of its sources.
	Dots func(dot.Set) dot.Set
	// PurgeLive makes the clean-up take the files in use for rubbish.
	PurgeLive bool
	// Unproven uses new files without proving them, as if there were no gate.
	Unproven bool
	// Version has builds go wrong that make files of this version alone; 0 is all.
	Version uint32
}

func (f *Faults) row(r *indexfile.Row) int {
	if f == nil || f.Row == nil {
		return 1
	}
	return f.Row(r)
}

func (f *Faults) written(path string) {
	if f != nil && f.Written != nil {
		f.Written(path)
	}
}

func (f *Faults) overwrite() bool { return f != nil && f.Overwrite }

func (f *Faults) dots(s *dot.Set) *dot.Set {
	if f == nil || f.Dots == nil {
		return s
	}
	changed := f.Dots(s.Clone())
	return &changed
}

func (f *Faults) unproven() bool { return f != nil && f.Unproven }

func (f *Faults) purgeLive() bool { return f != nil && f.PurgeLive }
