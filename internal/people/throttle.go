package people

import (
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
	key     [32]byte
	account int64 // whose name it is; 0 for a network, and for nobody's name
	name    bool
	reached int // failures, this attempt included; count says so
}

// subjects lists what an attempt counts towards: the network, and the name unless
// the account is known to come from there.
func (p *People) subjects(tx *db.Tx, name, network string, account int64) ([]subject, error) {
	list := []subject{p.networkSubject(network)}
	familiar, err := isFamiliar(tx, p.now(), account, network)
	if err != nil || familiar {
		return list, err
	}
	s := subject{limit: addressLimit, key: p.nameDigest(name), name: true, account: account}
	sprayed, err := p.sprayed(tx)
	if sprayed {
		s.free = sprayedFree
	}
	return append(list, s), err
}

func (p *People) networkSubject(network string) subject {
	return subject{limit: networkLimit, key: [32]byte(mac(p.keys.digest, "network", network))}
}

// nameDigest stands for an address or a sign-in name, or for what was typed where
// one belongs.
func (p *People) nameDigest(name string) [32]byte {
	if local, domain, err := normalise(name); err == nil {
		name = local + "@" + domain
	} else if form, err := signInForm(name); err == nil {
		name = form
	}
	return [32]byte(mac(p.keys.digest, "name", name))
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

// count adds one failure to each subject, says in it how many that makes, and
// forgets what is forgiven.
func count(tx *db.Tx, now time.Time, subjects []subject) error {
	if _, err := tx.Exec("DELETE FROM throttle WHERE last < ?", now.Add(-addressLimit.forget).UnixMicro()); err != nil {
		return err
	}
	for i := range subjects {
		s := &subjects[i]
		n, _, err := s.failures(tx, now)
		if err != nil {
			return err
		}
		s.reached = n + 1
		if _, err := tx.Exec(`INSERT INTO throttle (subject, failures, last) VALUES (?, ?, ?) ON CONFLICT (subject)
			DO UPDATE SET failures = excluded.failures, last = excluded.last`, s.key[:], n+1, now.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// takeBack undoes count after a success: for the network this attempt alone, for
// the name all, since whoever knows the password may mistype it.
func takeBack(tx *db.Tx, subjects []subject) error {
	for _, s := range subjects {
		if !s.name {
			continue
		}
		if _, err := tx.Exec("DELETE FROM throttle WHERE subject = ?", s.key[:]); err != nil {
			return err
		}
	}
	return takeBackOne(tx, subjects)
}

// takeBackOne undoes count for this attempt alone.
func takeBackOne(tx *db.Tx, subjects []subject) error {
	for _, s := range subjects {
		if _, err := tx.Exec("UPDATE throttle SET failures = failures - 1 WHERE subject = ? AND failures > 0", s.key[:]); err != nil {
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
