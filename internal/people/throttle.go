package people

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"sijill/internal/db"
)

// ErrSlowDown is returned (find it with errors.As) when signing in to an address
// or from a network failed too often. The password wasn't looked at.
type ErrSlowDown struct {
	RetryAfter time.Duration // from now; whole seconds, at least one
}

func (e ErrSlowDown) Error() string {
	return fmt.Sprintf("too many failures to sign in: try again in %v", e.RetryAfter)
}

// limit says how failures slow down what comes next: free ones cost nothing, then
// the wait is a second and doubles with each.
type limit struct {
	free   int
	most   time.Duration // the longest wait
	forget time.Duration // after so long without a failure all is forgiven
}

var (
	addressLimit = limit{free: 5, most: 15 * time.Minute, forget: 24 * time.Hour}
	// A network may be a whole office behind one address: the typing errors of
	// a Sunday morning must not shut it out.
	networkLimit = limit{free: 25, most: 15 * time.Minute, forget: time.Hour}
)

// clockSkew is how far the clocks of two machines may differ.
const clockSkew = time.Minute

// familiarFor is how long a network stays familiar to an account.
const familiarFor = 90 * 24 * time.Hour

func (l limit) wait(failures int) time.Duration {
	if failures < l.free {
		return 0
	}
	return min(time.Second<<min(failures-l.free, 30), l.most)
}

// subject is something whose failures are counted.
type subject struct {
	limit
	key [32]byte
}

func addressSubject(address string) subject {
	if local, domain, err := normalise(address); err == nil {
		address = local + "@" + domain
	}
	return subject{addressLimit, sha256.Sum256([]byte("address\n" + address))}
}

func networkSubject(network string) subject {
	return subject{networkLimit, sha256.Sum256([]byte("network\n" + network))}
}

// networkOf is what counts as one network: a /24 of IPv4, a /64 of IPv6.
func networkOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	prefix, err := a.Prefix(bits)
	if err != nil {
		return "local" // no address: a socket of this machine
	}
	return prefix.String()
}

// failures returns how many count now, and when the last was.
func (s subject) failures(tx *db.Tx, now time.Time) (n int, last time.Time, err error) {
	var at int64
	err = tx.One("SELECT failures, last FROM throttle WHERE subject = ?", []any{s.key[:]}, &n, &at)
	last = time.UnixMicro(at)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now.Sub(last) >= s.forget {
		return 0, now, nil
	}
	return n, last, err
}

// mayTry returns ErrSlowDown while any of the subjects has to wait.
func mayTry(tx *db.Tx, now time.Time, subjects []subject) error {
	var longest time.Duration
	for _, s := range subjects {
		n, last, err := s.failures(tx, now)
		if err != nil {
			return err
		}
		since := now.Sub(last)
		if since < -clockSkew {
			continue // the clock was set back: nobody can wait until it has caught up
		}
		longest = max(longest, s.wait(n)-max(since, 0))
	}
	if longest > 0 {
		return ErrSlowDown{RetryAfter: (longest + time.Second - 1).Truncate(time.Second)}
	}
	return nil
}

// count adds one failure to each subject, and forgets what is forgiven.
func count(tx *db.Tx, now time.Time, subjects []subject) error {
	if _, err := tx.Exec("DELETE FROM throttle WHERE last < ?", now.Add(-addressLimit.forget).UnixMicro()); err != nil {
		return err
	}
	for _, s := range subjects {
		n, _, err := s.failures(tx, now)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO throttle (subject, failures, last) VALUES (?, ?, ?) ON CONFLICT (subject)
			DO UPDATE SET failures = excluded.failures, last = excluded.last`, s.key[:], n+1, now.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// takeBack undoes count after a success: for the network this attempt alone, for
// the address all, since whoever knows the password may mistype it.
func takeBack(tx *db.Tx, subjects []subject) error {
	for _, s := range subjects {
		query := "UPDATE throttle SET failures = failures - 1 WHERE subject = ? AND failures > 0"
		if s.limit == addressLimit {
			query = "DELETE FROM throttle WHERE subject = ?"
		}
		if _, err := tx.Exec(query, s.key[:]); err != nil {
			return err
		}
	}
	return nil
}

func isFamiliar(tx *db.Tx, now time.Time, account int64, network string) (bool, error) {
	var one int
	err := tx.One("SELECT 1 FROM familiar WHERE account = ? AND network = ? AND used > ?",
		[]any{account, network, now.Add(-familiarFor).UnixMicro()}, &one)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func makeFamiliar(tx *db.Tx, now time.Time, account int64, network string) error {
	if _, err := tx.Exec("DELETE FROM familiar WHERE account = ? AND used <= ?", account, now.Add(-familiarFor).UnixMicro()); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO familiar (account, network, used) VALUES (?, ?, ?)
		ON CONFLICT (account, network) DO UPDATE SET used = excluded.used`, account, network, now.UnixMicro())
	return err
}
