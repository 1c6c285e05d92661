package protocol

import "time"

// Limits and intervals.
const (
	// summaryEvery is how often a member tells one of its peers what it has.
	summaryEvery = time.Second
	// pullAgainAfter is how long a fetch may take before another source is asked.
	pullAgainAfter = time.Second
	// catchUpEvery is how often the old replicas are asked until enough answered.
	catchUpEvery = 500 * time.Millisecond
	// syncedEvery is how often the mover is told again.
	syncedEvery = time.Second
	// scanWaits is how long a scan waits for what is required.
	scanWaits = 3 * time.Second
	// workingEvery is how often a scan under way says so.
	workingEvery = 200 * time.Millisecond
	// saveAgainAfter is how long a record waits that found no room on the disk.
	saveAgainAfter = time.Second
	// dropAfter is how long the data of a bucket that went elsewhere stays.
	dropAfter = 72 * time.Hour
	// FetchBytes is about how much one FetchReply brings: what a driver gives
	// Storage.Fetch as its limit.
	FetchBytes = 4 << 20

	// writeAgainAfter is how long a write waits before it is sent again to those
	// who have not acknowledged it.
	writeAgainAfter = 2 * time.Second
	// writeGivesUpAfter is how long a write waits for its quorums.
	writeGivesUpAfter = 10 * time.Second

	// setsAgainAfter is how long a query waits for sets before it asks again.
	setsAgainAfter = time.Second
	// attemptEndsAfter is how long a scan may be silent before another replica is
	// asked.
	attemptEndsAfter = time.Second
	// queryGivesUpAfter is how long a query may be without progress.
	queryGivesUpAfter = 10 * time.Second

	// endWaits is how long a change waits for the rest of its new replicas after a
	// majority of them has caught up: a bucket is handed over to all that live.
	endWaits = 5 * time.Second
)
