package indexfile

// A file is sorted by user, so that each of its blocks has events of the whole day,
// and zone maps of blocks say little about who is the newest. Runs that are much
// shorter do: of a hundred newest events most runs have none. Their bounds are worked
// out from the times when somebody first asks, and kept: a sixteenth of a byte a row.

// TimeRunRows is how many rows a run of times has; the last of a file may be short.
const TimeRunRows = 256

// TimeRuns has the bounds of the raw times of runs of TimeRunRows rows.
type TimeRuns struct{ bounds [][2]int64 }

// Bounds are the least and the greatest raw time of the rows from number
// run*TimeRunRows on.
func (t *TimeRuns) Bounds(run int) (least, greatest int64) {
	return t.bounds[run][0], t.bounds[run][1]
}

// TimeRuns gives the bounds of all runs.
func (r *Reader) TimeRuns() (*TimeRuns, error) {
	if t := r.timeRuns.value.Load(); t != nil {
		return t, nil
	}
	times, err := r.timeColumn()
	if err != nil {
		return nil, err
	}
	return r.timeRuns.get(func() (*TimeRuns, error) {
		rows := r.Rows()
		runs := &TimeRuns{bounds: make([][2]int64, (rows+TimeRunRows-1)/TimeRunRows)}
		var room [TimeRunRows]int64
		for n := range runs.bounds {
			lo := n * TimeRunRows
			run := room[:min(TimeRunRows, rows-lo)]
			times.fill(run, lo)
			least, greatest := run[0], run[0]
			for _, t := range run[1:] {
				least, greatest = min(least, t), max(greatest, t)
			}
			runs.bounds[n] = [2]int64{least, greatest}
		}
		return runs, nil
	})
}
