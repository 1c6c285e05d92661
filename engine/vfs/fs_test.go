package vfs

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
)

// each runs a test on the machine's file system, on one in memory and on one
// that could fail: they must be told apart only by a power cut.
func each(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("OS", func(t *testing.T) { test(t, OS(), t.TempDir()) })
	t.Run("Mem", func(t *testing.T) { test(t, NewMem(), "/") })
	t.Run("Faulty", func(t *testing.T) { test(t, NewFaulty(NewMem()), "") })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, fsys FS, name, text string) {
	t.Helper()
	f, err := fsys.Create(name)
	must(t, err)
	_, err = f.Write([]byte(text))
	must(t, err)
	must(t, f.Sync())
	must(t, f.Close())
}

// content is the file's text, read by ReadAt and by Map, or the word "absent".
func content(t *testing.T, fsys FS, name string) string {
	t.Helper()
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	_, err = f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	m, err := f.Map()
	must(t, err)
	if string(m) != string(b) {
		t.Fatalf("%s: mapped %q, read %q", name, m, b)
	}
	return string(b)
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		must(t, fsys.MkdirAll(dir+"/a/b"))
		must(t, fsys.MkdirAll(dir+"/a/b"))
		name := dir + "/a/b/f"
		f, err := fsys.Create(name)
		must(t, err)
		_, err = f.Write([]byte("hello, world"))
		must(t, err)
		mapped, err := f.Map()
		must(t, err)

		// After a cut, Write goes on at the new end; what is mapped beyond is
		// not ours to touch any more on a real disk, so only the rest is compared.
		must(t, f.Truncate(5))
		_, err = f.Write([]byte("!"))
		must(t, err)
		if got := content(t, fsys, name); got != "hello!" || string(mapped[:5]) != "hello" {
			t.Fatalf("after a cut: %q, mapped %q", got, mapped[:5])
		}
		b := make([]byte, 4)
		n, err := f.ReadAt(b, 4)
		if n != 2 || err != io.EOF {
			t.Fatalf("read past the end: %d, %v", n, err)
		}
		must(t, f.Sync())
		must(t, f.Close())
		wantErr(t, f.Sync(), fs.ErrClosed)

		r, err := fsys.Open(name)
		must(t, err)
		must(t, r.Sync())
		if _, err := r.Write([]byte("x")); err == nil {
			t.Fatal("wrote to a file that was opened for reading")
		}
		if err := r.Truncate(0); err == nil {
			t.Fatal("cut a file that was opened for reading")
		}

		// A reader of a replaced, moved or removed file goes on reading it.
		old, err := r.Map()
		must(t, err)
		write(t, fsys, name, "new")
		write(t, fsys, dir+"/a/g", "moved")
		must(t, fsys.Rename(dir+"/a/g", name))
		must(t, fsys.Remove(name))
		must(t, fsys.SyncDir(dir+"/a/b"))
		if string(old) != "hello!" {
			t.Fatalf("mapped bytes became %q", old)
		}
		must(t, r.Close())
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		must(t, fsys.MkdirAll(dir+"/d/z"))
		write(t, fsys, dir+"/d/b", "b")
		write(t, fsys, dir+"/d/a", "")
		names, err := fsys.List(dir + "/d")
		must(t, err)
		if want := []string{"a", "b", "z/"}; !slices.Equal(names, want) {
			t.Fatalf("listed %q, want %q", names, want)
		}
		info, err := fsys.Stat(dir + "/d/b")
		must(t, err)
		if info.Name() != "b" || info.Size() != 1 || info.IsDir() {
			t.Fatalf("b is %v", info)
		}
		info, err = fsys.Stat(dir + "/d")
		must(t, err)
		if !info.IsDir() || !info.Mode().IsDir() {
			t.Fatalf("d is %v", info)
		}
		if got := content(t, fsys, dir+"/d/a"); got != "" {
			t.Fatalf("empty file holds %q", got)
		}

		_, err = fsys.Open(dir + "/none")
		wantErr(t, err, fs.ErrNotExist)
		_, err = fsys.Stat(dir + "/none")
		wantErr(t, err, fs.ErrNotExist)
		_, err = fsys.List(dir + "/none")
		wantErr(t, err, fs.ErrNotExist)
		_, err = fsys.Create(dir + "/none/f")
		wantErr(t, err, fs.ErrNotExist)
		wantErr(t, fsys.Remove(dir+"/none"), fs.ErrNotExist)
		wantErr(t, fsys.Rename(dir+"/none", dir+"/d/c"), fs.ErrNotExist)
		wantErr(t, fsys.Rename(dir+"/d/b", dir+"/none/b"), fs.ErrNotExist)
		wantErr(t, fsys.SyncDir(dir+"/none"), fs.ErrNotExist)
		if fsys.Remove(dir+"/d") == nil {
			t.Fatal("removed a directory that is not empty")
		}
		if fsys.MkdirAll(dir+"/d/b/c") == nil {
			t.Fatal("made a directory under a file")
		}
		must(t, fsys.Remove(dir+"/d/z"))
	})
}

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		must(t, fsys.MkdirAll(dir+"/d"))
		held, err := fsys.Lock(dir + "/d/lock")
		must(t, err)
		_, err = fsys.Lock(dir + "/d/lock")
		wantErr(t, err, ErrLocked)
		must(t, held.Close())
		held, err = fsys.Lock(dir + "/d/lock")
		must(t, err)
		must(t, held.Close())
	})
}
