package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gocloud.dev/gcerrors"
)

// LeastDelay is the least that a collection waits before it removes what no
// backup names: longer than freshUpload, so that a backup under way never counts
// on what is about to go.
const LeastDelay = 24 * time.Hour

// Collected says what a collection removes.
type Collected struct {
	// Manifests are the IDs of the backups that are forgotten.
	Manifests []string
	// Objects and Bytes are the files that no backup names any more.
	Objects, Bytes int64
}

// Collect forgets the backups whose time has passed by more than delay, and removes
// what no other backup names and is older than delay. The newest backup, and the newest that is whole,
// stay whatever their time. Nothing is removed unless apply is set, and nothing
// at all if any manifest cannot be read, since what it names is not known then.
func Collect(ctx context.Context, s *Store, now time.Time, delay time.Duration, apply bool) (c Collected, err error) {
	if delay < LeastDelay {
		return c, fmt.Errorf("collect in %s: a delay of %s, at least %s is needed: a backup may be under way", s.Name, delay, LeastDelay)
	}
	ids, err := s.Manifests(ctx)
	if err != nil {
		return c, fmt.Errorf("collect in %s: %w", s.Name, err)
	}
	needed := map[string]bool{}
	whole := false
	for i := len(ids) - 1; i >= 0; i-- {
		m, err := s.Manifest(ctx, ids[i])
		if err != nil {
			return c, fmt.Errorf("collect in %s: nothing is removed: %w", s.Name, err)
		}
		keep := i == len(ids)-1 || now.Before(m.KeepUntil.Add(delay)) || m.Complete() && !whole
		whole = whole || m.Complete()
		if !keep {
			c.Manifests = append(c.Manifests, ids[i])
			continue
		}
		for _, f := range m.Files() {
			needed[f.Hash] = true
		}
	}
	if len(ids) == 0 {
		return c, nil // it is no store of backups, or all is lost: nothing is rubbish
	}
	objects, err := s.objects(ctx)
	if err != nil {
		return c, fmt.Errorf("collect in %s: %w", s.Name, err)
	}
	var rubbish []string
	for hash, o := range objects {
		if !needed[hash] && now.Sub(o.modified) > delay {
			rubbish = append(rubbish, hash)
			c.Objects++
			c.Bytes += o.size
		}
	}
	if !apply {
		return c, nil
	}
	// The manifests go first: a backup whose files are gone in part is none.
	for _, id := range c.Manifests {
		err = errors.Join(err, s.remove(ctx, manifestKey(id)))
	}
	if err != nil {
		return c, err
	}
	for _, hash := range rubbish {
		if err := s.remove(ctx, objectKey(hash)); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (s *Store) remove(ctx context.Context, key string) error {
	err := s.again(ctx, func() error { return s.Bucket.Delete(ctx, key) })
	if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("remove %s from %s: %w", key, s.Name, err)
	}
	return nil
}
