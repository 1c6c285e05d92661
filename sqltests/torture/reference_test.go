package torture

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/sqltests/oracle"
)

// rules is visible() a second time, written to differ from oracle.Visible as
// far as possible: it sorts where that groups, walks once where that filters.
// Without a mutant both agree, which tests the oracle; with one it is a wrong
// engine, which tests that the harness notices.
type rules struct {
	mutant mutant
}

// mutant is a mistake that somebody could make.
type mutant string

// mutants are all of them; each must be caught by TestMutants.
var mutants = []mutant{
	"survivors are chosen before deletes",
	"the survivor is the first by time",
	"LAST is FIRST",
	"FIRST is LAST",
	"the kind is against the previous copy",
	"dup_of is the previous copy",
	"every duplicate is a retry",
	"EXACT rounds towards zero",
	"EXACT goes by the microsecond",
	"EXACT is DAY",
	"ID has the name in its key",
	"DAY has no name in its key",
	"the insert id is not in the key",
	"KEEP is MARK",
	"CONTENT has no time",
	"CONTENT has no payload",
	"CONTENT has no user",
	"NONE takes events without insert id for copies",
	"CONTENT is NONE",
	"as of forgets deletes",
	"as of forgets undos",
	"as of forgets truncations",
	"as of leaves out its own moment",
	"as of comes after survivors",
	"a physical repeat is a retry",
	"damage keeps one of both",
	"damage is counted once",
	"damage is not hidden",
	"a truncation spares its bound",
	"an undone truncation is in force",
	"off still marks",
	"the server's time is payload",
	"who took the time is not payload",
	"the empty user has no duplicates",
	"keys compare without case",
	"keys compare without trailing spaces",
	"null is absent",
	"1 is 1.0",
	"days are not kept apart",
	"a delete takes the whole group",
	"an undo counts only after its delete",
	"an undo takes back one record only",
	"undos do nothing",
}

func (r rules) is(m mutant) bool { return r.mutant == m }

// stored is an event on its way through the rules.
type stored struct {
	oracle.Row
	bytes   string
	key     string
	alone   bool
	deleted bool
}

// visible has the signature of oracle.Visible.
func (r rules) visible(records []oracle.Record, policyOf func(catalog.Day) catalog.Policy, truncations []catalog.Truncation, asOf catalog.IngestID) oracle.Answer {
	if asOf.IsZero() {
		asOf = catalog.MaxIngestID
	}
	then := func(id catalog.IngestID) bool {
		c := id.Compare(asOf)
		return c < 0 || c == 0 && !r.is("as of leaves out its own moment")
	}
	deleted := r.deletedIDs(records, then)

	var all []stored
	for _, rec := range records {
		if rec.Event != nil {
			all = append(all, stored{Row: oracle.Row{Shard: rec.Shard, Event: rec.Event}, bytes: rec.Event.ID.String() + joined(rules{}.payload(rec.Event), micros(rec.Event.Time))})
		}
	}
	slices.SortFunc(all, func(a, b stored) int {
		return cmp.Or(a.Shard.Compare(b.Shard), strings.Compare(a.bytes, b.bytes))
	})
	if !r.is("a physical repeat is a retry") {
		all = slices.CompactFunc(all, func(a, b stored) bool { return a.Shard == b.Shard && a.bytes == b.bytes })
	}

	var answer oracle.Answer
	var left []stored
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].Shard == all[i].Shard && all[j].Event.ID == all[i].Event.ID {
			j++
		}
		same := all[i:j]
		i = j
		if !then(same[0].Event.ID) && !r.is("as of comes after survivors") {
			continue
		}
		if len(same) > 1 && same[0].bytes != same[len(same)-1].bytes {
			switch {
			case r.is("damage keeps one of both"):
				same = same[:1]
			case r.is("damage is not hidden"):
			case r.is("damage is counted once"):
				answer.Quarantined = append(answer.Quarantined, same[0].Row)
				continue
			default:
				for _, s := range same {
					answer.Quarantined = append(answer.Quarantined, s.Row)
				}
				continue
			}
		}
		for _, s := range same {
			s.deleted = deleted[key{s.Shard, s.Event.ID}] || r.truncated(s.Event.ID, truncations, then)
			if s.deleted {
				answer.Deleted = append(answer.Deleted, s.Row)
				if !r.is("survivors are chosen before deletes") && !r.is("a delete takes the whole group") {
					continue
				}
			}
			s.key, s.alone = r.key(s.Event, policyOf(s.Shard.Day))
			left = append(left, s)
		}
	}
	r.mark(left, policyOf)
	if r.is("a delete takes the whole group") {
		left = wholeGroups(left)
	}
	for _, s := range left {
		if !s.deleted && then(s.Event.ID) {
			answer.Rows = append(answer.Rows, s.Row)
		}
	}
	return answer
}

// mark sorts the rows by key and marks the duplicates of each run of equal ones.
func (r rules) mark(rows []stored, policyOf func(catalog.Day) catalog.Policy) {
	if !r.is("days are not kept apart") {
		for i := range rows {
			rows[i].key = rows[i].Shard.String() + "\x00" + rows[i].key
		}
	}
	slices.SortStableFunc(rows, func(a, b stored) int {
		order := a.Event.ID.Compare(b.Event.ID)
		if r.is("the survivor is the first by time") {
			order = cmp.Or(cmp.Compare(a.Event.Time, b.Event.Time), order)
		}
		return cmp.Or(strings.Compare(a.key, b.key), order)
	})
	for i := 0; i < len(rows); {
		j := i + 1
		for !rows[i].alone && j < len(rows) && !rows[j].alone && rows[j].key == rows[i].key {
			j++
		}
		group := rows[i:j]
		last := policyOf(group[0].Shard.Day).Survivor == catalog.SurvivorLast
		if r.is("LAST is FIRST") {
			last = false
		}
		if r.is("FIRST is LAST") {
			last = true
		}
		s := 0
		if last {
			s = len(group) - 1
		}
		for k := range group {
			if k == s {
				continue
			}
			said, of := group[s], group[s]
			previous := group[max(k-1, 0)]
			if k == 0 {
				previous = group[s]
			}
			if r.is("the kind is against the previous copy") {
				said = previous
			}
			if r.is("dup_of is the previous copy") {
				of = previous
			}
			group[k].DupOf = of.Event.ID
			group[k].Kind = oracle.KindRetry
			if r.payload(group[k].Event) != r.payload(said.Event) && !r.is("every duplicate is a retry") {
				group[k].Kind = oracle.KindConflict
			}
		}
		i = j
	}
}

// wholeGroups drops all copies of an event of which one was deleted.
func wholeGroups(rows []stored) []stored {
	gone := map[string]bool{}
	for _, s := range rows {
		if s.deleted && !s.alone {
			gone[s.key] = true
		}
	}
	return slices.DeleteFunc(rows, func(s stored) bool { return !s.alone && gone[s.key] })
}

// key names an event, or a delete, of a shard.
type key struct {
	shard catalog.ShardKey
	id    catalog.IngestID
}

// deletedIDs are the events that deletes name, whether they exist or not.
func (r rules) deletedIDs(records []oracle.Record, then func(catalog.IngestID) bool) map[key]bool {
	undone := map[key]catalog.IngestID{}
	for _, rec := range records {
		if u := rec.Undo; u != nil && (then(u.ID) || r.is("as of forgets undos")) && !r.is("undos do nothing") {
			if u.ID.Compare(u.Delete) > 0 || !r.is("an undo counts only after its delete") {
				undone[key{rec.Shard, u.Delete}] = u.ID
			}
		}
	}
	deleted := map[key]bool{}
	for _, rec := range records {
		d := rec.Delete
		if d == nil || !then(d.ID) && !r.is("as of forgets deletes") {
			continue
		}
		if _, ok := undone[key{rec.Shard, d.ID}]; ok {
			if r.is("an undo takes back one record only") {
				delete(undone, key{rec.Shard, d.ID})
			}
			continue
		}
		for _, t := range d.Targets {
			deleted[key{rec.Shard, t}] = true
		}
	}
	return deleted
}

func (r rules) truncated(id catalog.IngestID, truncations []catalog.Truncation, then func(catalog.IngestID) bool) bool {
	for _, t := range truncations {
		if t.Undone && !r.is("an undone truncation is in force") {
			continue
		}
		if !then(t.ID) && !r.is("as of forgets truncations") {
			continue
		}
		if c := id.Compare(t.UpTo); c < 0 || c == 0 && !r.is("a truncation spares its bound") {
			return true
		}
	}
	return false
}

// key is the logical key; true means that the event stands alone.
func (r rules) key(e *event.Event, p catalog.Policy) (string, bool) {
	alone := p.Disabled
	if r.is("off still marks") {
		alone = false
	}
	name, user, insertID := e.Name, e.DistinctID, e.InsertID
	if r.is("keys compare without case") {
		name, user, insertID = strings.ToLower(name), strings.ToLower(user), strings.ToLower(insertID)
	}
	if r.is("keys compare without trailing spaces") {
		name, user, insertID = strings.TrimRight(name, " "), strings.TrimRight(user, " "), strings.TrimRight(insertID, " ")
	}
	if user == "" && r.is("the empty user has no duplicates") {
		alone = true
	}
	if e.InsertID == "" {
		if p.Missing == catalog.MissingNone && !r.is("NONE takes events without insert id for copies") || r.is("CONTENT is NONE") {
			alone = true
		}
		payload := r.payload(e)
		parts := []string{"content", name, user, micros(e.Time), payload}
		if r.is("CONTENT has no time") {
			untimed := *e
			untimed.Time = 0
			parts = []string{"content", name, user, r.payload(&untimed)}
		}
		if r.is("CONTENT has no payload") {
			parts = []string{"content", name, user, micros(e.Time)}
		}
		if r.is("CONTENT has no user") {
			nobody := *e
			nobody.DistinctID = ""
			parts = []string{"content", name, micros(e.Time), r.payload(&nobody)}
		}
		return joined(parts...), alone
	}
	parts := []string{"id", user}
	if !r.is("the insert id is not in the key") {
		parts = append(parts, insertID)
	}
	if p.Key != catalog.KeyID && !r.is("DAY has no name in its key") || p.Key == catalog.KeyID && r.is("ID has the name in its key") {
		parts = append(parts, name)
	}
	if p.Key == catalog.KeyExact && !r.is("EXACT is DAY") {
		ms := e.Time - ((e.Time%1000)+1000)%1000
		if r.is("EXACT rounds towards zero") {
			ms = e.Time / 1000
		}
		if r.is("EXACT goes by the microsecond") {
			ms = e.Time
		}
		parts = append(parts, micros(ms))
	}
	if p.Conflict == catalog.ConflictKeep && !r.is("KEEP is MARK") {
		parts = append(parts, r.payload(e))
	}
	return joined(parts...), alone
}

// payload is what the client said, as text.
func (r rules) payload(e *event.Event) string {
	from := "client"
	if e.ServerTime {
		from = "server"
		if r.is("who took the time is not payload") {
			from = "client"
		}
	}
	parts := []string{e.Name, e.DistinctID, e.InsertID, from}
	if !e.ServerTime || r.is("the server's time is payload") || r.is("who took the time is not payload") {
		parts = append(parts, micros(e.Time))
	}
	for _, p := range e.Properties {
		if p.Value.Kind == catalog.KindNull && r.is("null is absent") {
			continue
		}
		text := string(p.Value.AppendJSON(nil))
		if r.is("1 is 1.0") {
			text = strings.TrimSuffix(text, ".0")
		}
		parts = append(parts, p.Name, text)
	}
	return joined(parts...)
}

// micros is a time as text.
func micros(t int64) string { return strconv.FormatInt(t, 10) }

// joined puts parts together so that no two lists give the same text.
func joined(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return b.String()
}
