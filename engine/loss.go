package engine

import (
	"strings"

	"arbor/catalog"
)

// describeLoss lists the shards that cannot be read whole, with why, and how many
// of their files are still in the trash.
func describeLoss(d *describing) {
	names, err := d.engine.fs.List(d.engine.trashDir())
	for _, s := range d.engine.allShards() {
		cause := s.failure()
		if cause == nil {
			continue
		}
		trashed := catalog.Null
		if err == nil {
			n := 0
			for _, name := range names {
				parts := strings.Split(name, ",")
				if len(parts) == 3 && parts[1] == strings.ReplaceAll(s.key.String(), "/", ".") {
					n++
				}
			}
			trashed = integer(n)
		}
		d.row(s.key, text(cause.Error()), trashed)
	}
}
