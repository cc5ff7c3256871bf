package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"syscall"

	"sijill/internal/office"
	"sijill/internal/people"
)

// errScarce says that the disk is all but full.
var errScarce = errors.New("hardly any room is left on the disk")

// health is nil while mail can be sealed, as far as is known: the register's last
// word, and room on the disk, which is looked at since nobody may have tried for
// hours. It says that room is scarce before sealing fails.
func health(o *office.Office) error {
	if err := o.Register.Health(); err != nil {
		return err
	}
	if free, err := freeBytes(o.Dir); err == nil && free < leastRoom(o.Config.SMTP.MaxSize) {
		return fmt.Errorf("%d MiB: %w", free>>20, errScarce)
	}
	return nil
}

// leastRoom is how many bytes must be free: for a message of the largest size and
// the database's log of as much, or for 64 MiB, to which that log may grow anyway.
func leastRoom(largest int64) int64 {
	if largest == 0 {
		largest = 50 << 20 // The door's own limit.
	}
	return max(64<<20, 2*largest)
}

// freeBytes is the room that is left to the server for databases and segments,
// which may be on two disks.
func freeBytes(dir string) (int64, error) {
	free := int64(math.MaxInt64)
	for _, path := range []string{dir, filepath.Join(dir, office.SegmentsDir)} {
		var disk syscall.Statfs_t
		if err := syscall.Statfs(path, &disk); err != nil {
			return 0, fmt.Errorf("asking how full the disk is: %w", err)
		}
		free = min(free, int64(disk.Bavail)*disk.Bsize)
	}
	return free, nil
}

// complain says in the log what stands in the way of keeping the record: what is
// in order otherwise, and costs mail all the same.
func complain(ctx context.Context, o *office.Office) {
	if err := o.Register.Behind(); err != nil {
		o.Log.Error("the register refuses to append; see docs/backup.md", "error", err)
	} else if err := health(o); err != nil {
		o.Log.Error("mail can hardly be sealed", "error", err)
	}
	missing := 0
	for _, a := range o.Config.SMTP.Journal {
		if _, err := o.People.Resolve(ctx, a); errors.Is(err, fs.ErrNotExist) || errors.Is(err, people.ErrForeign) {
			missing++
		}
	}
	if missing > 0 { // Without the addresses: a log has none.
		o.Log.Error("a journal address has no account: its copies are put off; name another under [smtp], or make one with \"sijill user add\"", "missing", missing)
	}
}
