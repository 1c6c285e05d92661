package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"syscall"
	"testing"

	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

func sampleReplica(b byte, generation uint32) protocol.Replica {
	return protocol.Replica{Member: protocol.MemberID{b, 15: 9}, Generation: generation}
}

func sampleRecord(epoch uint64) protocol.Record {
	r := protocol.Record{Generation: 3, Synced: epoch - 1, Config: protocol.Config{Epoch: epoch, Old: []protocol.Replica{sampleReplica(1, 3), sampleReplica(2, 300)}}}
	if epoch%2 == 0 {
		r.Config.New = []protocol.Replica{sampleReplica(5, 1)}
	}
	return r
}

// TestRecordIsWhatItWas keeps the bytes.
func TestRecordIsWhatItWas(t *testing.T) {
	r := sampleRecord(300)
	b := encodeRecord(1023, &r)
	const want = "0102ff0703ab02ac02" + "02" + "01000000000000000000000000000009" + "03" + "02000000000000000000000000000009" + "ac02" + "01" + "05000000000000000000000000000009" + "01"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("record is %s, was %s", got, want)
	}
	bucket, back, err := decodeRecord(b[2:])
	if err != nil || bucket != 1023 || !reflect.DeepEqual(back, r) {
		t.Errorf("came back as %d %+v, %v", bucket, back, err)
	}
	for i := 2; i < len(b); i++ {
		if _, _, err := decodeRecord(b[2:i]); err == nil {
			t.Errorf("cut at %d it decodes", i)
		}
	}
	if _, _, err := decodeRecord(append(b[2:], 0)); err == nil {
		t.Error("with a byte too many it decodes")
	}
}

func FuzzRecord(f *testing.F) {
	r := sampleRecord(300)
	f.Add(encodeRecord(1023, &r)[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		bucket, r, err := decodeRecord(b)
		if err != nil {
			return
		}
		again, back, err := decodeRecord(encodeRecord(bucket, &r)[2:])
		if err != nil || again != bucket || !reflect.DeepEqual(back, r) {
			t.Fatalf("%x is %+v, and that comes back as %+v, %v", b, r, back, err)
		}
	})
}

// openSomeRecords opens records that begin anew often.
func openSomeRecords(t *testing.T, fs vfs.FS) (*records, error) {
	t.Helper()
	r, err := openRecords(fs, "replicas")
	if err == nil {
		r.most = 12
	}
	return r, err
}

// TestRecordsCrash stops the machine, or fails the disk, at every operation on
// files: what was saved is there, and of what was being saved either that or what was
// before.
func TestRecordsCrash(t *testing.T) {
	for _, fault := range []error{vfs.ErrCrashed, syscall.EIO, syscall.ENOSPC} {
		for k := int64(1); ; k++ {
			rng := rand.New(rand.NewPCG(uint64(k), 7))
			disk := vfs.NewMem()
			faulty := vfs.NewFaulty(disk)
			if fault == vfs.ErrCrashed {
				faulty.CrashAt(k)
			} else {
				faulty.FailAt(k, fault)
			}
			saved, doubtful := map[protocol.Bucket]protocol.Record{}, map[protocol.Bucket]protocol.Record{}
			save := func() {
				r, err := openSomeRecords(t, faulty)
				if err != nil {
					return
				}
				for epoch := range uint64(20) {
					b, record := protocol.Bucket(rng.IntN(4)), sampleRecord(epoch+1)
					err := r.save(context.Background(), b, record)
					if isFull(err) { // there is room again: it is as if nothing had been
						if err = r.save(context.Background(), b, record); err != nil {
							t.Errorf("operation %d: no room, and then: %v", k, err)
						}
					}
					if err != nil {
						doubtful[b] = record
						break
					}
					saved[b] = record
				}
				_ = r.close()
			}
			save()
			if len(doubtful) == 0 {
				save()
			}
			done := faulty.Operations() < k
			if fault == vfs.ErrCrashed {
				disk = disk.CrashClone(rng, float64(k%3)/2)
			}
			for range 2 {
				r, err := openSomeRecords(t, disk)
				if err != nil {
					t.Fatalf("operation %d, %v: %v", k, fault, err)
				}
				if err := r.damaged(); err != nil {
					t.Fatalf("operation %d, %v: %v", k, fault, err)
				}
				got := r.all()
				for b := range protocol.Bucket(4) {
					before, ok := saved[b]
					doubt, some := doubtful[b]
					if now, there := got[b]; !(there == ok && reflect.DeepEqual(now, before)) && !(some && reflect.DeepEqual(now, doubt)) {
						t.Fatalf("operation %d, %v: bucket %d has %+v, saved was %+v, in doubt %+v", k, fault, b, now, before, doubt)
					}
				}
				if err := r.save(context.Background(), 9, sampleRecord(2)); err != nil {
					t.Fatal(err)
				}
				if err := r.close(); err != nil {
					t.Fatal(err)
				}
				saved, doubtful = got, nil
			}
			if done {
				break
			}
		}
	}
}

// TestRecordsAreShort: however much is saved, the log stays short.
func TestRecordsAreShort(t *testing.T) {
	disk := vfs.NewMem()
	for i := range 60 {
		r, err := openSomeRecords(t, disk)
		if err != nil {
			t.Fatal(err)
		}
		for b := range protocol.Bucket(3) {
			if err := r.save(context.Background(), b, sampleRecord(uint64(i)+1)); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(r.log.Segments()); n > maxRecordSegments+2 {
			t.Fatalf("%d segments", n)
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := disk.List("replicas/trash"); err != nil || len(names) > 0 {
		t.Errorf("in the trash are %q, %v", names, err)
	}
}

// TestRecordsDamage: records that are damaged are none, and stay distrusted until
// somebody trusts them.
func TestRecordsDamage(t *testing.T) {
	build := func() *vfs.Mem {
		disk := vfs.NewMem()
		for range 2 {
			r, err := openRecords(disk, "replicas")
			if err != nil {
				t.Fatal(err)
			}
			for b := range protocol.Bucket(3) {
				if err := r.save(context.Background(), b, sampleRecord(7)); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.close(); err != nil {
				t.Fatal(err)
			}
		}
		return disk
	}
	const first = "replicas/000000000001.log"
	content := readMem(t, build(), first)
	tried := 0
	for at := 0; at <= len(content); at += 7 {
		disk := build()
		if at+7 > len(content) {
			if err := disk.Remove(first); err != nil {
				t.Fatal(err)
			}
		} else {
			bad := append([]byte(nil), content...)
			bad[at] ^= 0x20
			f, err := disk.Create(first)
			if err == nil {
				_, err = f.Write(bad)
			}
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		for opening := range 3 {
			r, err := openRecords(disk, "replicas")
			if err != nil {
				if opening == 0 && at < 64 {
					break // a header of a newer version
				}
				t.Fatalf("byte %d, opening %d: %v", at, opening, err)
			}
			tried++
			if err := r.damaged(); !errors.Is(err, errRecords) || len(r.all()) > 0 {
				t.Errorf("byte %d, opening %d: %v, %v", at, opening, err, r.all())
			}
			if opening == 2 {
				if err := r.trust(); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.close(); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := openRecords(disk, "replicas"); err == nil {
			if err := r.damaged(); err != nil {
				t.Errorf("byte %d, trusted: %v", at, err)
			}
			if err := errors.Join(r.save(context.Background(), 1, sampleRecord(3)), r.close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if tried < 30 {
		t.Errorf("%d openings", tried)
	}
}

func readMem(t *testing.T, disk *vfs.Mem, name string) []byte {
	t.Helper()
	f, err := disk.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRecordLimit: a config of as many replicas as can be is saved, and one more is
// not.
func TestRecordLimit(t *testing.T) {
	r, err := openRecords(vfs.NewMem(), "replicas")
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	record := sampleRecord(1)
	record.Config.Old = make([]protocol.Replica, maxRecordReplicas)
	if err := r.save(context.Background(), 1, record); err != nil {
		t.Error(err)
	}
	record.Config.Old = append(record.Config.Old, sampleReplica(1, 1))
	if err := r.save(context.Background(), 1, record); err == nil {
		t.Error(fmt.Sprint(len(record.Config.Old), " replicas were saved"))
	}
}
