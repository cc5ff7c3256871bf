package record_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/db/dbtest"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// A register whose disk is full says so until it has appended again.
func TestHealthOfAFullDisk(t *testing.T) {
	m := recordtest.NewMachine(t, 1)
	if err := errors.Join(m.Create(t.Context(), m.Options), m.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, part := range []recordtest.Part{recordtest.Segments, recordtest.Database} {
		mustAppend(t, m.Register, captured(1, 1))
		if err := m.Register.Health(); err != nil {
			t.Errorf("a sound register says %v", err)
		}
		m.Inject(recordtest.Fault{Part: part, Fault: dbtest.Fault{Op: m.Ops()[part] + 1, Err: syscall.ENOSPC, Short: true, Lasting: true}})
		if _, err := m.Register.Append(t.Context(), captured(2, 1)); err == nil {
			t.Fatalf("%s: appended to a full disk", part)
		}
		if m.Register.Health() == nil {
			t.Errorf("%s: with a full disk the register says that it is well", part)
		}
		m.Heal()
		if m.Register.Health() == nil {
			t.Errorf("%s: it says that it is well before it has appended", part)
		}
	}
	mustAppend(t, m.Register, captured(3, 1))
	if err := m.Register.Health(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What a sender does wrong says nothing of the register.
func TestHealthIsNotTheSenders(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	veto := captured(1, 1)
	veto.With = func(*db.Tx, int64) error { return errors.New("not now") }
	personal := captured(1, 7)
	personal.Class = sijill.Personal
	for name, try := range map[string]func() error{
		"a caller that gave up": func() error { _, err := h.Register.Append(gone, captured(1, 1)); return err },
		"a veto":                func() error { _, err := h.Register.Append(t.Context(), veto); return err },
		"no roots":              func() error { _, err := h.Register.Append(t.Context(), personal); return err },
		"a bad draft": func() error {
			_, err := h.Register.Append(t.Context(), record.Draft{Kind: sijill.Captured, Actor: "smtp", Content: captured(0).Content})
			return err
		},
	} {
		if try() == nil {
			t.Errorf("%s: appended", name)
		}
		if err := h.Register.Health(); err != nil {
			t.Errorf("%s: the register says %v", name, err)
		}
	}
}
