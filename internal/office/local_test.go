package office

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"sijill/internal/db"
	"sijill/internal/outbox"
)

// Whose an address is follows from its domain; when that can't be read, nobody knows.
func TestLocal(t *testing.T) {
	o, _ := openOffice(t)
	addAccount(t, o, laila)
	for address, want := range map[string]bool{laila: true, noura: true, "laila@elsewhere.example": false, "laila": false} {
		if got, err := o.Local(t.Context(), address); got != want || err != nil {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Local(ctx, "laila@elsewhere.example"); err == nil {
		t.Error("a database that doesn't answer says whose the address is")
	}
}

// What was ours a moment ago, and isn't any more, is not refused as nobody's.
func TestDeliverToForeign(t *testing.T) {
	o, _ := openOffice(t)
	deliver := func(to string) error {
		return o.deliver(t.Context(), outbox.Delivery{To: []string{to}, Message: []byte("Subject: x\r\n\r\nx\r\n"),
			With: func(*db.Tx, int64) error { return nil }})
	}
	if err := deliver(noura); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to nobody: %v", err)
	}
	if err := deliver("laila@elsewhere.example"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to another server: %v", err)
	}
}
