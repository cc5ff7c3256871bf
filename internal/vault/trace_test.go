package vault

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
)

// plain makes a vault on a database whose pages are not encrypted, so that its
// files can be searched.
func plain(t *testing.T) (v *Vault, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "plain.db")
	d, err := db.OpenSQLite(t.Context(), path, db.Options{VFS: "os"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return openVault(t, d, serverKey), path
}

// earlier is the first moment of the month n months ago.
func earlier(v *Vault, n int) time.Time {
	now := v.now().UTC()
	return time.Date(now.Year(), now.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC)
}

// shows tells whether a file of the database shows bytes.
func shows(t *testing.T, path string, b []byte) bool {
	t.Helper()
	found := false
	for _, end := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + end)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		found = found || bytes.Contains(content, b)
	}
	return found
}

// masksOf reads the masks of a query.
func masksOf(t *testing.T, v *Vault, query string, args ...any) (masks [][]byte) {
	t.Helper()
	err := v.db.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Each(query, args, func(r db.Row) error {
			var b []byte
			err := r.Scan(&b)
			masks = append(masks, bytes.Clone(b))
			return err
		})
	})
	if err != nil || len(masks) == 0 {
		t.Fatalf("%d rows: %v", len(masks), err)
	}
	return masks
}

// What was destroyed is nowhere in the database's files: not the mask, without
// which the rest is worth nothing, in any of 300 cases among much coming and
// going; and hardly ever the wrapped key, of which the engine may leave copies
// when it rearranges pages, and which is why there are masks.
func TestNothingIsLeftOfDestroyedKeys(t *testing.T) {
	v, path := plain(t)
	owner(t, v, 1)
	const n = 600
	sealed := make([]*Sealed, n)
	for i := range n {
		sealed[i] = sealAs(t, v, sijill.Personal, int64(i), 1)
		if i == n/2 {
			if _, err := v.Rewrap(t.Context(), signIn(t, v, 1, "password")); err != nil {
				t.Fatal(err)
			}
		}
	}
	masks := masksOf(t, v, "SELECT mask FROM personal_mask ORDER BY entry")
	wraps := masksOf(t, v, "SELECT wrapped FROM personal_key ORDER BY entry")
	if !shows(t, path, masks[0]) || !shows(t, path, wraps[0]) || !shows(t, path, masks[n-1]) {
		t.Fatal("the search finds nothing")
	}
	var gone []int64
	for i := range n / 2 {
		gone = append(gone, int64(i*2))
		if len(gone)%30 > 0 {
			continue
		}
		err := v.delete(t.Context(), func(tx *db.Tx) (bool, error) { return true, Destroy(tx, gone[len(gone)-30:]) })
		if err != nil {
			t.Fatal(err)
		}
	}
	ring, traces := signIn(t, v, 1, "recovery"), 0
	for _, i := range gone {
		if shows(t, path, masks[i]) || shows(t, path, masks[i][:16]) || shows(t, path, masks[i][16:]) {
			t.Errorf("the mask of destroyed message %d is on the disk", i)
		}
		if shows(t, path, wraps[i]) || shows(t, path, sealed[i].Keys[0].Wrapped) {
			traces++
		}
		mustBeClosed(t, v, ring, i, sealed[i])
		if i+1 < n {
			mustOpen(t, v, ring, i+1, sealed[i+1])
		}
	}
	t.Logf("%d of %d wrapped keys left a copy", traces, len(gone))
	if traces > len(gone)/20 {
		t.Errorf("%d of %d wrapped keys are still on the disk", traces, len(gone))
	}
}

// Nor is anything left of envelopes that were dropped or replaced, and of the
// keys of months that were closed.
func TestNothingIsLeftOfEnvelopesAndWraps(t *testing.T) {
	v, path := plain(t)
	now := v.now
	months := []time.Time{now(), earlier(v, 1), earlier(v, 2), earlier(v, 3)}
	for account := range int64(20) {
		v.now = func() time.Time { return months[account%4] }
		owner(t, v, account+1)
		sealAs(t, v, sijill.Office, 2*account, account+1)
		sealAs(t, v, sijill.Personal, 2*account+1, account+1)
	}
	v.now = now
	var all [][]byte
	all = append(all, masksOf(t, v, "SELECT m.mask FROM envelope e JOIN mask m ON m.id = e.mask WHERE e.holder = 'password'")...)
	all = append(all, masksOf(t, v, `SELECT m.mask FROM compartment_key k JOIN mask m ON m.id = k.mask JOIN compartment c ON c.id = k.compartment
		WHERE k.holder IN ('server', 'everyday') AND c.month < ?`, monthOf(now()))...)
	if len(all) != 20+30 || !shows(t, path, all[0]) || !shows(t, path, all[49]) {
		t.Fatalf("%d masks", len(all))
	}
	for account := range int64(20) {
		if account%2 == 0 {
			if err := v.DropEnvelope(t.Context(), account+1, "password"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		put(t, v, signIn(t, v, account+1, "password"), Everyday, "password", fmt.Sprint("another ", account))
	}
	if c, err := v.Cool(t.Context(), now()); err != nil || len(c.Closed) != 30 {
		t.Fatalf("%+v %v", c, err)
	}
	for i, m := range all {
		if shows(t, path, m) || shows(t, path, m[:16]) || shows(t, path, m[16:]) {
			t.Errorf("mask %d is on the disk", i)
		}
	}
}
