package vfs

// faultyFile is a file of a Faulty. Close always works, so that a test of a
// crash leaks nothing.
type faultyFile struct {
	File
	f    *Faulty
	name string
}

func (f *faultyFile) Write(p []byte) (int, error) {
	err := f.f.before(OpWrite, f.name)
	if err == nil {
		return f.File.Write(p)
	}
	// A disk that is full takes what it can. Nothing is written by a machine
	// that stands still: CrashClone decides what of the earlier writes is left.
	if f.f.reading("write", f.name) == nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return 0, err
}

func (f *faultyFile) Sync() error {
	if err := f.f.before(OpSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.f.before(OpTruncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.reading("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) Size() (int64, error) {
	if err := f.f.reading("stat", f.name); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *faultyFile) Map() ([]byte, error) {
	if err := f.f.reading("map", f.name); err != nil {
		return nil, err
	}
	return f.File.Map()
}
