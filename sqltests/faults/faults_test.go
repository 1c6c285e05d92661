package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	rounds = flag.Int("rounds", 0, "how many faults, in random order; 0 for the short form")
	seed   = flag.Uint64("seed", 0, "what chooses them; 0 for a new one")
	hold   = flag.Duration("hold", 0, "how long a fault lasts at least")
)

// fault is something that happens to a member. It returns when the fault is over and
// the member should recover.
type fault struct {
	name  string
	short bool // it is part of the short form
	loses bool // the member comes back without what it had
	do    func(x *scene, t *testing.T, victim int)
}

// scene is a cluster and its clients.
type scene struct {
	network *network
	all     []*process
	clients *checker
}

var faults = []fault{
	{"kill", true, false, (*scene).kill},
	{"stop", true, false, (*scene).stop},
	{"cut off", false, false, (*scene).cutOff},
	{"cannot be heard", true, false, (*scene).cannotBeHeard},
	{"cannot hear", false, false, (*scene).cannotHear},
	{"a pair is apart", true, false, (*scene).pairApart},
	{"full disk", true, false, (*scene).fullDisk},
	{"failing syncs", true, true, (*scene).failingSyncs},
	{"old copy", true, true, (*scene).oldCopy},
	{"lost disk", false, true, (*scene).lostDisk},
}

// TestProcessesUnderFaults: clients write to and ask a cluster of processes while all
// kinds of things happen to one member at a time. The others go on; no answer lacks
// what was acknowledged before, or has anything twice; and when it is over all members
// say the same.
func TestProcessesUnderFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes")
	}
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	members := []int{3}
	if *rounds > 0 {
		members = []int{3, 5}
	}
	for _, n := range members {
		t.Run(fmt.Sprintf("%d members", n), func(t *testing.T) {
			t.Logf("seed %d", s)
			r := rand.New(rand.NewPCG(s, uint64(n)))
			network, all := newCluster(t, n)
			x := &scene{network: network, all: all, clients: newChecker(t, all)}
			x.clients.during(func() { x.play(t, r) })
			x.finish(t)
		})
	}
}

// play lets faults happen, one after the other.
func (x *scene) play(t *testing.T, r *rand.Rand) {
	var list []fault
	for _, f := range faults {
		if *rounds == 0 && f.short {
			list = append(list, f)
		}
	}
	for range *rounds {
		list = append(list, faults[r.IntN(len(faults))])
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	x.clients.pass("before any fault", 20, 5)
	for i, f := range list {
		victim := r.IntN(len(x.all))
		start := time.Now()
		f.do(x, t, victim)
		x.clients.healed(x.all[victim])
		if f.loses { // what comes next may only take one of those that have everything
			settle(t, x.all[victim], len(x.all))
		}
		t.Logf("%d: %s, member %d: %.1f s", i+1, f.name, victim+1, time.Since(start).Seconds())
		if t.Failed() {
			for _, m := range x.all {
				t.Logf("log of the member at %s:\n%s", m.host.address, tail(m.log.String()))
			}
			return
		}
	}
}

func tail(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

// finish compares everything when all is over.
func (x *scene) finish(t *testing.T) {
	if t.Failed() {
		return
	}
	settle(t, x.all[0], len(x.all))
	for _, m := range x.all {
		x.clients.healed(m)
		if got := m.one(t, "SELECT COUNT(*) FROM arbor.alarms WHERE kind = 'divergence'"); got != "0" {
			t.Errorf("%s alarms of divergence", got)
		}
		m.noCrash(t)
	}
	x.all[0].eventually(t, "SELECT COUNT(DISTINCT project, day, bucket, batches, digest) - COUNT(DISTINCT project, day, bucket) FROM arbor.digests", "0")
	c := x.clients
	t.Logf("%d events sent, %d acknowledged, %d requests refused, %d without an answer", len(c.sent), len(c.acked), c.refused, c.dropped)
}

// meanwhile waits, while a fault lasts, until the others got on.
func (x *scene) meanwhile(victim int, what string) {
	x.clients.expect(x.all[victim], false)
	if *hold > 0 {
		select {
		case <-time.After(*hold):
		case <-x.clients.t.Context().Done():
		}
	}
	x.clients.pass(what, 20, 5)
}

// back says that the member is expected to get on again.
func (x *scene) back(victim int) { x.clients.expect(x.all[victim], true) }

func (x *scene) kill(t *testing.T, victim int) {
	m := x.all[victim]
	m.end(t, syscall.SIGKILL)
	x.meanwhile(victim, "a member was killed")
	m.run(t)
	x.back(victim)
}

// stop stops a process as a machine does that hangs: its connections stay.
func (x *scene) stop(t *testing.T, victim int) {
	m := x.all[victim]
	m.signal(t, syscall.SIGSTOP)
	x.meanwhile(victim, "a member was stopped")
	m.signal(t, syscall.SIGCONT)
	x.back(victim)
}

// apart cuts the ways of some pairs of members, from and to, and joins them again.
func (x *scene) apart(t *testing.T, victim int, what string, ways [][2]int) {
	for _, way := range ways {
		x.network.cut(t, way[0], way[1])
	}
	x.meanwhile(victim, what)
	for _, way := range ways {
		x.network.join(t, way[0], way[1])
	}
	x.back(victim)
}

// ways are those from a member to all others, and to it from them.
func (x *scene) ways(victim int, from, to bool) (ways [][2]int) {
	for other := range x.all {
		if other == victim {
			continue
		}
		if from {
			ways = append(ways, [2]int{victim, other})
		}
		if to {
			ways = append(ways, [2]int{other, victim})
		}
	}
	return ways
}

func (x *scene) cutOff(t *testing.T, victim int) {
	x.apart(t, victim, "a member was cut off", x.ways(victim, true, true))
}

func (x *scene) cannotBeHeard(t *testing.T, victim int) {
	x.apart(t, victim, "what a member sends is lost", x.ways(victim, true, false))
}

func (x *scene) cannotHear(t *testing.T, victim int) {
	x.apart(t, victim, "what is sent to a member is lost", x.ways(victim, false, true))
}

func (x *scene) pairApart(t *testing.T, victim int) {
	other := (victim + 1) % len(x.all)
	x.apart(t, victim, "two members are apart", [][2]int{{victim, other}, {other, victim}})
}

func (x *scene) fullDisk(t *testing.T, victim int) {
	giveBack := fill(t, x.all[victim].disk)
	x.meanwhile(victim, "a member's disk is full")
	giveBack()
	x.back(victim)
}

// failingSyncs lets a member's syncs fail: it must end, and not go on as if nothing
// had been, and come back under another identity.
func (x *scene) failingSyncs(t *testing.T, victim int) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Log("left out: strace, which makes syncs fail, is not installed")
		return
	}
	m := x.all[victim]
	before := x.generation(t, m)
	x.clients.expect(m, false)
	failSyncs(t, m)
	x.meanwhile(victim, "a member's syncs failed")
	m.run(t)
	if after := x.generation(t, m); after == before {
		t.Errorf("after a sync failed the member goes on as it was, under generation %s", after)
	}
	x.back(victim)
}

func (x *scene) generation(t *testing.T, m *process) string {
	return m.one(t, "SELECT generation FROM arbor.members WHERE self")
}

// maxRefusals is how often a directory may be refused before it is taken.
const maxRefusals = 8

// oldCopy puts back a copy of the member's directory that was made earlier. It must be
// refused as long as it may be taken for what it is not.
func (x *scene) oldCopy(t *testing.T, victim int) {
	m := x.all[victim]
	copied := filepath.Join(t.TempDir(), "copy")
	x.clients.expect(m, false)
	m.end(t, syscall.SIGKILL)
	if err := copyDir(m.data, copied); err != nil {
		t.Fatal(err)
	}
	m.run(t)
	x.back(victim)
	before := x.generation(t, m)
	x.clients.pass("a member's directory was copied", 20, 5)
	x.clients.expect(m, false)
	m.end(t, syscall.SIGKILL)
	if err := os.RemoveAll(m.data); err != nil {
		t.Fatal(err)
	}
	if err := copyDir(copied, m.data); err != nil {
		t.Fatal(err)
	}
	x.meanwhile(victim, "a member's directory was put back")
	refusals := 0
	for ; refusals < maxRefusals; refusals++ {
		m.start(t)
		if m.ready(t.Context()) == nil {
			break
		}
	}
	if refusals == 0 || refusals == maxRefusals {
		t.Fatalf("the copy was refused %d times\n%s", refusals, m.log)
	}
	if after := x.generation(t, m); after == before {
		t.Errorf("a copy goes on as if nothing had been, under generation %s", after)
	}
	x.back(victim)
}

// lostDisk has a new member take the part of one whose disk was lost.
func (x *scene) lostDisk(t *testing.T, victim int) {
	m, other := x.all[victim], x.all[(victim+1)%len(x.all)]
	dead := m.one(t, "SELECT id FROM arbor.members WHERE self")
	m.end(t, syscall.SIGKILL)
	if err := os.RemoveAll(m.data); err != nil {
		t.Fatal(err)
	}
	x.meanwhile(victim, "a member's disk was lost")
	m.run(t, "--peer", m.peer(), "--join", other.peer(), "--token", other.one(t, "CALL arbor.add_member()"))
	id := m.one(t, "SELECT id FROM arbor.members WHERE self")
	other.eventually(t, "SELECT alive FROM arbor.members WHERE id = '"+id+"'", "1")
	other.call(t, fmt.Sprintf("CALL arbor.replace('%s', '%s')", dead, id))
	other.eventually(t, "SELECT buckets FROM arbor.members WHERE id = '"+dead+"'", "0")
	other.call(t, "CALL arbor.remove('"+dead+"')")
	x.back(victim)
}
