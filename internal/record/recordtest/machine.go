package recordtest

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"sijill/internal/blob/blobtest"
	"sijill/internal/blob/files"
	"sijill/internal/db/dbtest"
)

// Machine is a Home on disks that fail on command: one for the segments and one
// for the database. When a fault stops one of them, both stop.
type Machine struct {
	Home
	Segments *blobtest.Disk
	Database *dbtest.Disk
	Options  Options
	Armed    bool // A fault was injected.
}

// Part names one of the two disks.
type Part string

// The parts of a Machine.
const (
	Segments Part = "segments"
	Database Part = "database"
)

// Fault is one thing that goes wrong in a part of a Machine; see dbtest.Fault.
type Fault struct {
	Part Part
	dbtest.Fault
}

// NewMachine makes a machine with an empty directory. Equal seeds make equal
// crashes.
func NewMachine(t testing.TB, seed uint64) *Machine {
	m := &Machine{Home: Home{Dir: t.TempDir()}, Segments: blobtest.NewDisk(seed), Database: dbtest.New(t, seed)}
	m.Options = Options{VFS: m.Database.VFS(), FS: watched{m}, Segment: 4 << 10}
	m.Database.OnStop(func(crashed bool) {
		if crashed {
			m.Segments.Crash()
		}
	})
	return m
}

// Inject arms one fault, in place of any other.
func (m *Machine) Inject(f Fault) {
	m.Armed = true
	if f.Part == Database {
		m.Database.Inject(f.Fault)
		return
	}
	m.Segments.Inject(blobtest.Fault{Op: f.Op, Lasting: f.Lasting, Err: f.Err, Short: f.Short})
}

// Ops counts the operations of each part; see dbtest.Fault.
func (m *Machine) Ops() map[Part]int {
	return map[Part]int{Segments: m.Segments.Ops(), Database: m.Database.Ops()}
}

// Heal disarms faults.
func (m *Machine) Heal() {
	m.Segments.Heal()
	m.Database.Heal()
}

// Crash stops the machine.
func (m *Machine) Crash() {
	m.Segments.Crash()
	m.Database.Crash()
}

// Kill stops the process.
func (m *Machine) Kill() { m.Database.Kill() }

// Stopped tells whether a fault has stopped the machine or the process.
func (m *Machine) Stopped() bool { return m.Database.Stopped() }

// Restart starts the machine after a stop. The Home must be closed first.
func (m *Machine) Restart() error {
	m.Segments.Restart()
	return m.Database.Restart()
}

// Start opens the register.
func (m *Machine) Start(ctx context.Context) error { return m.Open(ctx, m.Options) }

// EachFault finds out how many operations run needs on sound disks, and runs it
// again on a new machine for every one of them and each way in which it can go
// wrong: failing once with EIO, from then on with ENOSPC and a write cut short,
// with the machine stopping, and with the process stopping. Pages are written
// by the hundred, so that their ways take turns, except the machine's stop.
// every makes it take only one in so many operations. run has to put up with
// errors and to check what was promised to it.
func EachFault(t *testing.T, every int, newMachine func(t *testing.T, seed uint64) *Machine, run func(t *testing.T, m *Machine)) {
	t.Helper()
	sound := newMachine(t, 0)
	before := sound.Ops()
	run(t, sound)
	if t.Failed() {
		t.Fatal("fails on sound disks")
	}
	for part, ops := range sound.Ops() {
		t.Logf("%s: %d operations", part, ops-before[part])
		for op := 1; op <= ops-before[part]; op += every {
			page := part == Database && sound.Database.Kind(before[part]+op) == dbtest.Write
			for i, w := range ways {
				if part == Segments && w.fault.Kill || page && w.turn >= 0 && w.turn != op%3 {
					continue
				}
				t.Run(string(part)+"/"+w.name, func(t *testing.T) {
					t.Parallel()
					m := newMachine(t, uint64(op*len(ways)+i))
					f := Fault{Part: part, Fault: w.fault}
					f.Op = op + m.Ops()[part]
					m.Inject(f)
					run(t, m)
					if t.Failed() {
						t.Logf("struck at operation %d", op)
					}
				})
			}
		}
	}
}

// ways are how an operation goes wrong. turn says when it is a way's turn.
var ways = []struct {
	name  string
	fault dbtest.Fault
	turn  int
}{
	{"EIO", dbtest.Fault{Err: syscall.EIO}, 0},
	{"ENOSPC lasting", dbtest.Fault{Err: syscall.ENOSPC, Short: true, Lasting: true}, 1},
	{"kill", dbtest.Fault{Kill: true}, 2}, // Of segments: the same as at the next operation of the database.
	{"crash", dbtest.Fault{}, -1},
}

// watched is the disk of the segments. It stops the database with it.
type watched struct{ m *Machine }

func (w watched) saw(err error) error {
	if errors.Is(err, blobtest.ErrCrashed) {
		w.m.Database.Crash()
	}
	return err
}

func (w watched) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	f, err := w.m.Segments.OpenFile(name, flag, perm)
	if err != nil {
		return nil, w.saw(err)
	}
	return watchedFile{f, w}, nil
}

func (w watched) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := w.m.Segments.ReadDir(name)
	return list, w.saw(err)
}

func (w watched) Mkdir(name string, perm fs.FileMode) error {
	return w.saw(w.m.Segments.Mkdir(name, perm))
}

func (w watched) Remove(name string) error { return w.saw(w.m.Segments.Remove(name)) }

func (w watched) SyncDir(name string) error { return w.saw(w.m.Segments.SyncDir(name)) }

type watchedFile struct {
	files.File
	watched
}

func (f watchedFile) WriteAt(b []byte, offset int64) (int, error) {
	n, err := f.File.WriteAt(b, offset)
	return n, f.saw(err)
}

func (f watchedFile) Truncate(size int64) error { return f.saw(f.File.Truncate(size)) }

func (f watchedFile) Sync() error { return f.saw(f.File.Sync()) }

func (f watchedFile) Chmod(mode fs.FileMode) error { return f.saw(f.File.Chmod(mode)) }
