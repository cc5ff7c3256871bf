package vault

import (
	"context"
	"path/filepath"
	"testing"

	"sijill"
	"sijill/internal/db"
)

// BenchmarkKeys measures what the key of one message costs, without the message:
// wrapping it, and opening it as it came in and after Rewrap.
func BenchmarkKeys(b *testing.B) {
	d, err := db.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "vault.db"), db.Options{Key: serverKey.Derive("pages")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	v, err := Open(b.Context(), d, serverKey)
	if err != nil {
		b.Fatal(err)
	}
	ring, err := v.MakeRoots(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	key, id := newSecret(), sijill.ID{1}
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		b.Run("wrap "+string(class), func(b *testing.B) {
			for b.Loop() {
				if _, err := v.wrap(context.Background(), class, 1, key, id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	k, err := v.wrap(b.Context(), sijill.Personal, 1, key, id)
	if err != nil {
		b.Fatal(err)
	}
	unwrap := func(b *testing.B) {
		for b.Loop() {
			if got, err := v.unwrap(context.Background(), ring, k, id); err != nil || got != key {
				b.Fatal(err)
			}
		}
	}
	b.Run("open sealed", unwrap)
	k.Entry = 1
	if err := v.db.Write(b.Context(), func(tx *db.Tx) error { return InsertPersonal(tx, []MessageKey{k}) }); err != nil {
		b.Fatal(err)
	}
	if n, err := v.Rewrap(b.Context(), ring); err != nil || n != 1 {
		b.Fatal(n, err)
	}
	err = v.db.Read(b.Context(), func(tx *db.Tx) error {
		list, err := Keys(tx, 1, 1)
		if err == nil {
			k = list[0]
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("open rewrapped", unwrap)
}
