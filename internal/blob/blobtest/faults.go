package blobtest

import (
	"fmt"
	"syscall"
	"testing"
)

// EachFault finds out how many operations run needs on a sound disk, and runs it
// again on a new disk for each of them and each way in which it can go wrong:
// failing once or from then on, with EIO or ENOSPC, with a write cut short, and
// with the machine stopping. run gets a disk that is armed; it has to put up with
// errors, to call Heal (or Restart, when it sees ErrCrashed) when it wants the
// disk to work, and to check what was promised to it.
func EachFault(t *testing.T, run func(t *testing.T, d *Disk)) {
	t.Helper()
	sound := NewDisk(0)
	run(t, sound)
	if t.Failed() {
		t.Fatal("fails on a sound disk")
	}
	ways := []struct {
		name  string
		fault Fault
	}{
		{"EIO", Fault{Err: syscall.EIO}},
		{"EIO lasting", Fault{Err: syscall.EIO, Lasting: true}},
		{"ENOSPC", Fault{Err: syscall.ENOSPC, Short: true}},
		{"ENOSPC lasting", Fault{Err: syscall.ENOSPC, Short: true, Lasting: true}},
		{"crash", Fault{}},
	}
	for op := 1; op <= sound.Ops(); op++ {
		for i, way := range ways {
			d := NewDisk(uint64(op*len(ways) + i))
			fault := way.fault
			fault.Op = op
			d.Inject(fault)
			t.Run(fmt.Sprintf("%s at %d", way.name, op), func(t *testing.T) { run(t, d) })
		}
	}
}
