package vault

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sijill"
	"sijill/internal/db"
)

// Compartment names one, for people and projections.
type Compartment struct {
	ID      int64
	Account int64
	Class   sijill.Class
	Year    int
	Month   time.Month
}

// Left is a compartment that Cool would have closed for good.
type Left struct {
	Compartment
	Why Reason
}

// Reason says why a compartment stays hot.
type Reason string

// The reasons.
const (
	// NoDeep: its key isn't sealed to a deep root.
	NoDeep Reason = "no deep root"
	// NoHolder: nothing opens the deep root that it is sealed to.
	NoHolder Reason = "nothing opens the deep root"
)

// Cooled is what Cool did, or would do.
type Cooled struct {
	Closed []Compartment
	Left   []Left
}

// Coolable tells what Cool would do with the months that ended before a moment.
func (v *Vault) Coolable(ctx context.Context, before time.Time) (c Cooled, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		c, err = v.coolable(tx, before)
		return err
	})
	return c, err
}

// Cool closes the months that ended before a moment: the server's key opens
// their office mail no more, the everyday roots their personal mail. Deep roots
// open both. A compartment that nobody could open afterwards is left as it is.
// The month that runs is never closed.
func (v *Vault) Cool(ctx context.Context, before time.Time) (c Cooled, err error) {
	err = v.delete(ctx, func(tx *db.Tx) (bool, error) {
		if c, err = v.coolable(tx, before); err != nil {
			return false, err
		}
		return len(c.Closed) > 0, closeAll(tx, c.Closed)
	})
	v.Forget()
	if err != nil {
		return c, fmt.Errorf("cooling: %w", err)
	}
	return c, nil
}

// CoolIn is Cool within a transaction of the caller's, for compartments that
// Coolable has found. Call Scrub when it has committed.
func (v *Vault) CoolIn(tx *db.Tx, list []Compartment) error {
	for _, c := range list {
		why, err := mayClose(tx, c)
		if err != nil {
			return err
		}
		if why != "" {
			return fmt.Errorf("cooling compartment %d: %s: %w", c.ID, why, ErrClosed)
		}
	}
	if err := closeAll(tx, list); err != nil {
		return err
	}
	return Owe(tx)
}

// Forget drops the compartments' keys that the server remembers.
func (v *Vault) Forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.rooms)
}

// hotHolder is who loses a compartment of a class when it cools.
func hotHolder(class sijill.Class) string {
	if class == sijill.Personal {
		return string(Everyday)
	}
	return holderServer
}

func (v *Vault) coolable(tx *db.Tx, before time.Time) (out Cooled, err error) {
	var hot []Compartment
	err = tx.Each(`SELECT DISTINCT c.id, c.account, c.class, c.month FROM compartment c
		JOIN compartment_key k ON k.compartment = c.id AND k.holder = CASE c.class WHEN 'personal' THEN 'everyday' ELSE 'server' END
		WHERE c.month < ? ORDER BY c.id`, []any{min(monthOf(before), monthOf(v.now()))}, func(r db.Row) error {
		var c Compartment
		var month int
		err := r.Scan(&c.ID, &c.Account, &c.Class, &month)
		c.Year, c.Month = month/12, time.Month(month%12+1)
		hot = append(hot, c)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("listing compartments: %w", err)
	}
	for _, c := range hot {
		why, err := mayClose(tx, c)
		switch {
		case err != nil:
			return out, err
		case why != "":
			out.Left = append(out.Left, Left{c, why})
		default:
			out.Closed = append(out.Closed, c)
		}
	}
	return out, nil
}

// mayClose says why a compartment must not be closed, or nothing: somebody must
// be able to open it again, and a session is nobody for long.
func mayClose(tx *db.Tx, c Compartment) (Reason, error) {
	var sealed, held int
	err := tx.One(`SELECT count(*), coalesce(sum(EXISTS (SELECT 1 FROM envelope e WHERE e.account = ? AND e.root = 'deep' AND e.generation = k.generation
		AND e.holder NOT LIKE 'session/%')), 0)
		FROM compartment_key k WHERE k.compartment = ? AND k.holder = 'deep'`, []any{c.Account, c.ID}, &sealed, &held)
	switch {
	case err != nil:
		return "", fmt.Errorf("looking for the deep root of compartment %d: %w", c.ID, err)
	case sealed == 0:
		return NoDeep, nil
	case held == 0:
		return NoHolder, nil
	}
	return "", nil
}

// closeAll deletes the wraps, and has every process forget what it remembers.
func closeAll(tx *db.Tx, list []Compartment) error {
	for _, c := range list {
		const which = "compartment = ? AND holder = ?"
		args := []any{c.ID, hotHolder(c.Class)}
		if _, err := tx.Exec("UPDATE mask SET mask = ? WHERE id IN (SELECT mask FROM compartment_key WHERE "+which+")",
			append([]any{noMask[:]}, args...)...); err != nil {
			return fmt.Errorf("closing compartment %d: %w", c.ID, err)
		}
		if _, err := tx.Exec("DELETE FROM compartment_key WHERE "+which, args...); err != nil {
			return fmt.Errorf("closing compartment %d: %w", c.ID, err)
		}
	}
	if len(list) == 0 {
		return nil
	}
	if _, err := tx.Exec("UPDATE vault_state SET closed = closed + 1 WHERE id = 1"); err != nil {
		return fmt.Errorf("noting that months were closed: %w", err)
	}
	return nil
}

// Held lists the entries whose messages a compartment holds, destroyed ones
// excepted: what leaves an index when it cools.
func (v *Vault) Held(ctx context.Context, compartment int64) (entries []int64, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		return each(tx, &entries, `SELECT entry FROM message_key WHERE compartment = ?
			UNION ALL SELECT entry FROM personal_key WHERE compartment = ? ORDER BY entry`, compartment, compartment)
	})
	if err != nil {
		return nil, fmt.Errorf("listing what a compartment holds: %w", err)
	}
	return entries, nil
}

// ColdOf lists the entries from first to last whose messages an account holds in
// closed months, ascending: office mail that the server's key opens through no
// other compartment either, and personal mail that needs the owner's deep root.
// Destroyed messages are not among them.
func (v *Vault) ColdOf(ctx context.Context, account, first, last int64) (entries []int64, err error) {
	const closed = `SELECT c.id FROM compartment c WHERE c.account = ? AND c.class = ?
		AND NOT EXISTS (SELECT 1 FROM compartment_key k WHERE k.compartment = c.id AND k.holder = ?)`
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		err := each(tx, &entries, `SELECT m.entry FROM message_key m WHERE m.compartment IN (`+closed+`) AND m.entry BETWEEN ? AND ?
			AND NOT EXISTS (SELECT 1 FROM message_key o JOIN compartment_key k ON k.compartment = o.compartment AND k.holder = ?
				WHERE o.entry = m.entry)`, account, sijill.Office, holderServer, first, last, holderServer)
		if err != nil {
			return err
		}
		return each(tx, &entries, "SELECT p.entry FROM personal_key p WHERE p.compartment IN ("+closed+") AND p.entry BETWEEN ? AND ?",
			account, sijill.Personal, string(Everyday), first, last)
	})
	if err != nil {
		return nil, fmt.Errorf("listing what is cold: %w", err)
	}
	slices.Sort(entries)
	return slices.Compact(entries), nil
}
