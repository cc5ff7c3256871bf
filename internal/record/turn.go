package record

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// turn lets processes on one machine append one after the other. Two files
// make it fair: who waits for his turn holds the gate, so that a process that
// has just finished can't take the next turn before him.
type turn struct {
	gate, seat *os.File
}

func openTurn(path string) (*turn, error) {
	if path == "" {
		return &turn{}, nil
	}
	gate, err := os.OpenFile(path+".next", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the turn's gate: %w", err)
	}
	seat, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the turn: %w", err), gate.Close())
	}
	return &turn{gate: gate, seat: seat}, nil
}

// take waits for the turn and returns what gives it back.
func (t *turn) take() (release func(), err error) {
	if t.seat == nil {
		return func() {}, nil
	}
	if err := flock(t.gate, unix.LOCK_EX); err != nil {
		return nil, err
	}
	err = errors.Join(flock(t.seat, unix.LOCK_EX), flock(t.gate, unix.LOCK_UN))
	if err != nil {
		return nil, err
	}
	return func() { _ = flock(t.seat, unix.LOCK_UN) }, nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (t *turn) close() error {
	if t.seat == nil {
		return nil
	}
	return errors.Join(t.gate.Close(), t.seat.Close())
}
