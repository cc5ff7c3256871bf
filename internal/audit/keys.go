package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// otherKeys checks the remaining wrapped keys of a message that one of them has
// opened: every holder must be able to open it.
func (a *auditor) otherKeys(ctx context.Context, e entry, m *sijill.Message) string {
	if len(e.keys) < 2 {
		return ""
	}
	for _, k := range e.keys {
		err := a.opts.Vault.CheckKey(ctx, k, m.ID)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("its key for compartment %d: %v", k.Compartment, err)
		}
	}
	return ""
}

// personal judges the keys of a message by whose it is. A personal one has one
// holder and one key, which the server can't open; a missing key is judged when
// all entries have been read, since a later one may say that it was destroyed.
func (a *auditor) personal(e entry, v *verdict) {
	theirs := false
	for _, k := range e.keys {
		theirs = theirs || k.Personal()
	}
	own := ownedAlone(e.entry)
	switch {
	case !own && len(e.keys) == 0 && v.problem == "":
		v.problem = "no wrapped key of its message is left: nobody can open it any more"
	case !own && theirs:
		v.problem = "it is the office's, but its key is under somebody's own"
	case !own:
		return
	case len(e.entry.Accounts) != 1:
		v.problem = fmt.Sprintf("it is personal, but has %d holders", len(e.entry.Accounts))
		return
	case v.opened || len(e.keys) > 1 || len(e.keys) == 1 && !theirs:
		v.problem = "it is personal, but the server holds a key of it"
	}
	if own {
		v.personal, v.keyless = true, len(e.keys) == 0
	}
}

// ownedAlone tells whether an entry says that its message is personal.
func ownedAlone(e *sijill.Entry) bool {
	var f struct {
		Class sijill.Class `json:"class"`
	}
	return len(e.Fields) > 0 && json.Unmarshal(e.Fields, &f) == nil && f.Class == sijill.Personal
}

// destroying notes what an entry says was destroyed, and checks that it could
// be: a personal message of the same account, before.
func (a *auditor) destroying(e entry) {
	if e.err != nil || e.entry.Kind != sijill.Destroyed {
		return
	}
	var f sijill.DestroyedFields
	if err := e.entry.DecodeFields(&f); err != nil {
		a.report.find(fmt.Sprintf("entry %d", e.number), "what it destroyed can't be read: %v", err)
		return
	}
	for _, n := range f.Entries {
		if holder, ok := a.own[n]; !ok || n >= e.number || !slices.Contains(e.entry.Accounts, holder) {
			if !ok && !a.intact {
				continue // That one can't be read, which was said.
			}
			a.report.find(fmt.Sprintf("entry %d", e.number), "it destroyed entry %d, which is no personal message of its account", n)
			continue
		}
		a.gone[n] = e.number
	}
}

// destroyed compares what entries say was destroyed with the keys that are left.
func (a *auditor) destroyed(ctx context.Context, h head) {
	for _, n := range slices.Sorted(maps.Keys(a.gone)) {
		a.report.Destroyed++
		if !a.keyless[n] {
			a.report.find(fmt.Sprintf("entry %d", n), "entry %d says that it was destroyed, but its key is still there", a.gone[n])
		}
	}
	maps.DeleteFunc(a.keyless, func(n int64, _ bool) bool { _, ok := a.gone[n]; return ok })
	if len(a.keyless) > 0 {
		a.meanwhile(ctx, h.size)
	}
	for _, n := range slices.Sorted(maps.Keys(a.keyless)) {
		a.report.find(fmt.Sprintf("entry %d", n), "no wrapped key of its message is left, and no entry says that it was destroyed")
	}
	a.halves(ctx)
}

// meanwhile looks for what was destroyed after the audit had begun.
func (a *auditor) meanwhile(ctx context.Context, size int64) {
	err := a.opts.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT number, compact, segment, at, length FROM entry WHERE number >= ?", []any{size}, func(r db.Row) error {
			e, err := scan(r)
			if err != nil || e.entry.Kind != sijill.Destroyed {
				return err
			}
			var f sijill.DestroyedFields
			err = e.entry.DecodeFields(&f)
			for _, n := range f.Entries {
				delete(a.keyless, n)
			}
			return err
		})
	})
	if err != nil {
		a.report.find("entries", "those that came during the audit can't be read: %v", err)
	}
}

// halves looks for halves of keys that were destroyed, and for compartments that
// nobody can open.
func (a *auditor) halves(ctx context.Context) {
	err := a.opts.DB.Read(ctx, func(tx *db.Tx) error {
		left, err := vault.Traces(tx, 0, math.MaxInt64)
		for _, n := range left {
			a.report.find(fmt.Sprintf("entry %d", n), "half of the key of its destroyed message is left")
		}
		if err != nil {
			return err
		}
		return tx.Each("SELECT c.id FROM compartment c WHERE NOT EXISTS (SELECT 1 FROM compartment_key k WHERE k.compartment = c.id) ORDER BY c.id", nil, func(r db.Row) error {
			var id int64
			err := r.Scan(&id)
			a.report.find(fmt.Sprintf("compartment %d", id), "no wrapped key of it is left: nobody can open it any more")
			return err
		})
	})
	if err != nil {
		a.report.find("keys", "they can't be read: %v", err)
	}
}
