package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sijill/internal/db"
)

var (
	home     = netip.MustParseAddr("192.0.2.7")
	stranger = netip.MustParseAddr("198.51.100.9")
)

const layla = "layla@diwan.example"

func (o *office) in(address, password string, from netip.Addr) error {
	_, err := o.SignIn(o.t.Context(), address, password, from)
	return err
}

// slow returns the wait that err asks for, 0 for none.
func slow(err error) time.Duration {
	var s ErrSlowDown
	if errors.As(err, &s) {
		return s.RetryAfter
	}
	return 0
}

func TestSignIn(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	s, err := o.SignIn(t.Context(), "Layla@Diwan.example", secret, home)
	o.must(err)
	got, err := o.Session(t.Context(), s.Token)
	if err != nil || got != a || s.Account != a.ID || len(s.Token) != 43 {
		t.Errorf("session %+v of %+v, %v", s, got, err)
	}
	for _, test := range [][2]string{{layla, secret + "x"}, {layla, ""}, {layla, "\x00"}, {layla, strings.Repeat("x", 5000)},
		{"nobody@diwan.example", secret}, {"layla@elsewhere.example", secret}, {"", ""}, {"layla+x@diwan.example", secret}} {
		wants(t, fmt.Sprintf("%.20q", test), o.in(test[0], test[1], stranger), ErrCredentials)
	}
}

// The same password typed on keyboards that compose letters differently.
func TestPasswordFormsAgree(t *testing.T) {
	o := newOffice(t)
	_, err := o.Add(t.Context(), Account{Name: "René", Address: "rene@diwan.example"}, "caf\u00e9 du d\u00e9part\u00a0!")
	o.must(err)
	wants(t, "decomposed", o.in("rene@diwan.example", "cafe\u0301 du de\u0301part !", home), nil)
}

func TestFailuresSlowDown(t *testing.T) {
	for _, address := range []string{layla, "nobody@diwan.example", "no address at all"} { // a stranger sees no difference
		o := newOffice(t)
		o.add(layla, 0)
		for range addressLimit.free {
			wants(t, "free failure", o.in(address, "a wrong password", stranger), ErrCredentials)
		}
		for _, want := range []time.Duration{1, 2, 4, 8, 16} {
			err := o.in(address, secret, stranger)
			if slow(err) != want*time.Second {
				t.Fatalf("%s: got %v, want to wait %d s", address, err, want)
			}
			o.clock = o.clock.Add(want*time.Second - time.Millisecond)
			if err := o.in(address, secret, stranger); slow(err) != time.Second {
				t.Fatalf("%s: got %v just before the wait is over", address, err)
			}
			o.clock = o.clock.Add(time.Millisecond)
			wants(t, "after the wait", o.in(address, "a wrong password", stranger), ErrCredentials)
		}
		for range 20 {
			o.clock = o.clock.Add(addressLimit.most)
			wants(t, "after the longest wait", o.in(address, "a wrong password", stranger), ErrCredentials)
		}
		o.clock = o.clock.Add(addressLimit.forget)
		for range addressLimit.free {
			wants(t, "forgotten", o.in(address, "a wrong password", stranger), ErrCredentials)
		}
	}
}

func TestSlowDownIsShared(t *testing.T) {
	o := newOffice(t)
	o.add(layla, 0)
	other := o.another()
	for range addressLimit.free {
		wants(t, "failure", o.in(layla, "a wrong password", stranger), ErrCredentials)
	}
	_, err := other.Authenticate(t.Context(), layla, secret, home)
	if slow(err) == 0 {
		t.Errorf("another process and network: %v", err)
	}
	o.open()
	if err := o.in(layla, secret, home); slow(err) == 0 {
		t.Errorf("after a restart: %v", err)
	}
}

func TestSuccessForgives(t *testing.T) {
	o := newOffice(t)
	o.add(layla, 0)
	for i := range 4 {
		from := netip.AddrFrom4([4]byte{10, 0, byte(i)}) // where failures still count
		for range addressLimit.free - 1 {
			wants(t, "failure", o.in(layla, "a wrong password", from), ErrCredentials)
		}
		wants(t, "success", o.in(layla, secret, from), nil)
	}
}

func TestClockSetBack(t *testing.T) {
	o := newOffice(t)
	o.add(layla, 0)
	for range addressLimit.free {
		wants(t, "failure", o.in(layla, "a wrong password", stranger), ErrCredentials)
	}
	o.clock = o.clock.Add(-time.Second)
	if err := o.in(layla, secret, stranger); slow(err) != time.Second {
		t.Errorf("by a clock that is a little behind: %v", err)
	}
	o.clock = o.clock.Add(-48 * time.Hour)
	wants(t, "two days back", o.in(layla, secret, stranger), nil)
}

// Whoever knows an address must not be able to keep its owner out.
func TestFamiliarNetworkIsNotLockedOut(t *testing.T) {
	o := newOffice(t)
	o.add(layla, 0)
	wants(t, "at home", o.in(layla, secret, home), nil)
	for range 30 {
		_ = o.in(layla, "a wrong password", stranger)
	}
	if err := o.in(layla, secret, stranger); slow(err) == 0 {
		t.Errorf("the stranger: %v", err)
	}
	wants(t, "at home, next door", o.in(layla, secret, netip.MustParseAddr("192.0.2.200")), nil)
	if err := o.in(layla, secret, stranger); slow(err) == 0 {
		t.Errorf("the stranger, after the owner signed in: %v", err)
	}
	o.clock = o.clock.Add(familiarFor)
	for range addressLimit.free {
		_ = o.in(layla, "a wrong password", stranger)
	}
	if err := o.in(layla, secret, home); slow(err) == 0 {
		t.Errorf("a network not seen for long: %v", err)
	}
}

func TestNetworkSlowsDown(t *testing.T) {
	tests := []struct{ from, near, far string }{
		{"198.51.100.9", "198.51.100.77", "198.51.101.9"},
		{"::ffff:198.51.100.9", "198.51.100.77", "198.51.101.9"},
		{"2001:db8:1:2::5", "2001:db8:1:2:ffff::1", "2001:db8:1:3::5"},
	}
	for _, test := range tests {
		o := newOffice(t)
		o.add(layla, 0)
		for i := range networkLimit.free {
			err := o.in(fmt.Sprintf("guess%d@diwan.example", i), secret, netip.MustParseAddr(test.from))
			wants(t, "failure", err, ErrCredentials)
		}
		if err := o.in(layla, secret, netip.MustParseAddr(test.near)); slow(err) != time.Second {
			t.Errorf("%s: %v", test.near, err)
		}
		wants(t, test.far, o.in(layla, secret, netip.MustParseAddr(test.far)), nil)
		o.clock = o.clock.Add(time.Second)
		wants(t, "after the wait", o.in(layla, secret, netip.MustParseAddr(test.near)), nil)
		o.clock = o.clock.Add(time.Second)
		// A success takes back its own attempt and no more: one good account
		// doesn't make guessing at others free.
		wants(t, "the next failure", o.in("guess@diwan.example", secret, netip.MustParseAddr(test.near)), ErrCredentials)
		if err := o.in(layla, secret, netip.MustParseAddr(test.near)); slow(err) != 2*time.Second {
			t.Errorf("after the next failure: %v", err)
		}
	}
}

// Guesses that are sent at once are counted before any is looked at.
func TestBurstIsCounted(t *testing.T) {
	o := newOffice(t)
	o.add(layla, 0)
	var looked atomic.Int32
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if err := o.in(layla, "a wrong password", stranger); errors.Is(err, ErrCredentials) {
				looked.Add(1)
			}
		})
	}
	wg.Wait()
	if got := int(looked.Load()); got != addressLimit.free {
		t.Errorf("%d guesses of a burst were looked at, want %d", got, addressLimit.free)
	}
}

func TestHashingIsBounded(t *testing.T) {
	if standard != (cost{memory: 64 << 10, passes: 3, lanes: 1}) || hashesAtOnce != 2 {
		t.Errorf("cost %+v, %d at once", standard, hashesAtOnce)
	}
	o := newOffice(t)
	o.add(layla, 0)
	for range hashesAtOnce {
		o.hashing <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := o.SignIn(ctx, layla, secret, home)
	wants(t, "when all places are taken", err, context.DeadlineExceeded)
}

func TestUnknownAddressTakesAsLong(t *testing.T) {
	o := newOffice(t)
	o.cost = cost{memory: 16 << 10, passes: 2, lanes: 1}
	o.add(layla, 0)
	// Taken in turn, so that what else the machine does slows both alike.
	known, unknown := time.Hour, time.Hour
	for i := range 12 {
		for address, best := range map[string]*time.Duration{layla: &known, "nobody@diwan.example": &unknown} {
			start := worked(t)
			wants(t, address, o.in(address, "a wrong password", netip.AddrFrom4([4]byte{10, byte(i)})), ErrCredentials)
			*best = min(*best, worked(t)-start)
		}
		o.clock = o.clock.Add(time.Hour)
	}
	if ratio := float64(known) / float64(unknown); ratio < 0.6 || ratio > 1.7 {
		t.Errorf("known address %v, unknown %v", known, unknown)
	}
}

func (o *office) stored(account int64) (hash string) {
	o.t.Helper()
	o.must(o.db.Read(o.t.Context(), func(tx *db.Tx) error {
		return tx.One("SELECT password FROM account WHERE id = ?", []any{account}, &hash)
	}))
	return hash
}

func (o *office) prove(c Credentials) *Proof {
	o.t.Helper()
	proof, err := o.Prove(o.t.Context(), c)
	o.must(err)
	return proof
}

// A hash of another cost is renewed in two steps, so that what its secret wraps
// can be wrapped anew before it is gone.
func TestOutdatedHashIsRenewed(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	c := Credentials{Name: layla, Password: secret, From: home}
	before := o.prove(c)
	if before.Renewal != nil || !before.HasSecret {
		t.Fatalf("a hash of today's cost: %+v", before)
	}
	o.cost.passes = 2
	wants(t, "wrong", o.in(layla, "a wrong password", home), ErrCredentials)
	old := o.prove(c)
	if old.Renewal == nil || old.Secret != before.Secret || old.Credential != before.Credential || old.Renewal.Secret == old.Secret {
		t.Fatalf("the same password at another cost: %+v", old)
	}
	if strings.Contains(o.stored(a.ID), "t=2") {
		t.Error("renewed before that was asked for")
	}
	o.must(o.RenewPassword(t.Context(), old))
	if !strings.HasPrefix(o.stored(a.ID), "$argon2id-hkdf$v=19$m=64,t=2,p=1$") {
		t.Errorf("not renewed: %s", o.stored(a.ID))
	}
	after := o.prove(c)
	if after.Secret != old.Renewal.Secret || after.Credential != old.Renewal.Credential || after.Renewal != nil {
		t.Errorf("after renewal: %+v", after)
	}
	if name, err := o.PasswordCredential(t.Context(), a.ID); err != nil || name != after.Credential {
		t.Errorf("the password is called %q, %v", name, err)
	}
	o.must(o.SetPassword(t.Context(), a.ID, "another staple"))
	o.must(o.RenewPassword(t.Context(), old)) // too late
	wants(t, "the old password", o.in(layla, secret, home), ErrCredentials)
}

// A hash from before there were secrets says what they would be made of: it is
// replaced at the first sign-in.
func TestLegacyHashIsReplaced(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	h := stored{method: methodPlain, cost: o.cost, salt: random(16)}
	key, err := o.derive(t.Context(), secret, h)
	o.must(err)
	h.key = key
	o.must(o.db.Write(t.Context(), func(tx *db.Tx) error {
		return change(tx, "UPDATE account SET password = ? WHERE id = ?", h.encode(), a.ID)
	}))
	wants(t, "wrong", o.in(layla, "a wrong password", home), ErrCredentials)
	first := o.prove(Credentials{Name: layla, Password: secret, From: home})
	if !strings.HasPrefix(o.stored(a.ID), "$argon2id-hkdf$") || first.Credential == "" || first.Renewal != nil {
		t.Errorf("stored %s, proof %+v", o.stored(a.ID), first)
	}
	if again := o.prove(Credentials{Name: layla, Password: secret, From: home}); again.Secret != first.Secret {
		t.Error("the secret changed")
	}
}

// Whoever reads the stored hash has nothing from which the secret could be told,
// short of the password itself.
func TestHashDoesNotRevealSecret(t *testing.T) {
	o := newOffice(t)
	o.add(layla, 0)
	proof := o.prove(Credentials{Name: layla, Password: secret, From: home})
	h, err := decode(o.stored(proof.Account.ID))
	o.must(err)
	if passwordSecret(append(h.key, h.key...)) == proof.Secret || expand(h.key, "password secret") == proof.Secret || [32]byte(h.key) == proof.Secret {
		t.Error("the secret is derived from what is stored")
	}
	other, err := o.NewPassword(t.Context(), secret)
	o.must(err)
	if other.Secret == proof.Secret {
		t.Error("the same password gives two accounts one secret")
	}
}

func TestDamagedHash(t *testing.T) {
	good := stored{methodHKDF, cost{64, 1, 1}, make([]byte, 16), make([]byte, 32)}.encode()
	if _, err := decode(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "$", strings.Replace(good, "argon2id-hkdf", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=64", "m=4294967295", 1), strings.Replace(good, "m=64", "m=0", 1), strings.Replace(good, "t=1", "t=0", 1),
		strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=1x", 1), good[:len(good)-4], good + "$"} {
		if _, err := decode(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestGeneratePassword(t *testing.T) {
	form := regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$`)
	seen := map[string]bool{}
	letters := map[rune]bool{}
	for range 500 {
		p := GeneratePassword()
		if !form.MatchString(p) || seen[p] {
			t.Fatalf("generated %q", p)
		}
		seen[p] = true
		for _, r := range p {
			letters[r] = true
		}
	}
	if len(letters) != 33 {
		t.Errorf("%d different characters, want 32 and the hyphen", len(letters))
	}
	if _, err := newOffice(t).NewPassword(t.Context(), GeneratePassword()); err != nil {
		t.Error(err)
	}
}

func TestSessionsEnd(t *testing.T) {
	o := newOffice(t)
	o.add(layla, 0)
	over := func(what, token string) {
		t.Helper()
		_, err := o.Session(t.Context(), token)
		wants(t, what, err, fs.ErrNotExist)
	}
	s, err := o.SignIn(t.Context(), layla, secret, home)
	o.must(err)
	begin := o.clock
	for o.clock.Sub(begin) < SessionLife-11*time.Hour {
		o.clock = o.clock.Add(11 * time.Hour)
		_, err := o.Session(t.Context(), s.Token)
		o.must(err)
	}
	o.clock = begin.Add(SessionLife)
	over("too old", s.Token)

	s, err = o.SignIn(t.Context(), layla, secret, home)
	o.must(err)
	var rows int
	o.must(o.db.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM session", nil, &rows) }))
	if rows != 1 {
		t.Errorf("%d sessions are stored, want the one that is not over", rows)
	}
	o.clock = o.clock.Add(SessionIdle - time.Second)
	_, err = o.Session(t.Context(), s.Token)
	o.must(err)
	o.clock = o.clock.Add(SessionIdle)
	over("idle", s.Token)
	over("no token", "")
	over("another token", strings.Repeat("A", 43))
}

func TestSessionsAreRevoked(t *testing.T) {
	o := newOffice(t)
	a, b := o.add(layla, 0), o.add("omar@diwan.example", 0)
	var s [4]Session
	for i := range s {
		var err error
		s[i], err = o.SignIn(t.Context(), layla, secret, home)
		o.must(err)
		o.clock = o.clock.Add(time.Hour)
	}
	live := func(want ...Session) {
		t.Helper()
		list, err := o.Sessions(t.Context(), a.ID)
		o.must(err)
		if len(list) != len(want) {
			t.Fatalf("%d sessions, want %d", len(list), len(want))
		}
		for i, w := range want {
			if w.Token = ""; list[i] != w {
				t.Errorf("session %+v, want %+v", list[i], w)
			}
			if _, err := o.Session(t.Context(), s[w.ID-s[0].ID].Token); err != nil {
				t.Error(err)
			}
		}
	}
	list, err := o.Sessions(t.Context(), a.ID)
	o.must(err)
	if len(list) != 4 || list[0].ID != s[3].ID || list[0].Network != "192.0.2.0/24" || list[0].Token != "" {
		t.Fatalf("sessions %+v", list)
	}
	wants(t, "another's", o.Revoke(t.Context(), b.ID, s[0].ID), fs.ErrNotExist)
	o.must(o.Revoke(t.Context(), a.ID, s[1].ID))
	wants(t, "again", o.Revoke(t.Context(), a.ID, s[1].ID), fs.ErrNotExist)
	o.must(o.SignOut(t.Context(), s[3].Token))
	o.must(o.SignOut(t.Context(), s[3].Token))
	live(s[2], s[0])
	o.must(o.RevokeAll(t.Context(), a.ID))
	live()
}

func TestPasswordChanges(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	s, err := o.SignIn(t.Context(), layla, secret, home)
	o.must(err)
	const next = "another staple"
	wants(t, "wrong old", o.ChangePassword(t.Context(), a.ID, "a wrong password", next, home), ErrCredentials)
	wants(t, "short new", o.ChangePassword(t.Context(), a.ID, secret, "short", home), ErrPassword)
	wants(t, "no such account", o.ChangePassword(t.Context(), 99, secret, next, home), fs.ErrNotExist)
	_, err = o.Session(t.Context(), s.Token)
	o.must(err)
	o.must(o.ChangePassword(t.Context(), a.ID, secret, next, home))
	_, err = o.Session(t.Context(), s.Token)
	wants(t, "session of the old password", err, fs.ErrNotExist)
	wants(t, "old password", o.in(layla, secret, home), ErrCredentials)
	wants(t, "new password", o.in(layla, next, home), nil)
	o.must(o.SetPassword(t.Context(), a.ID, secret))
	wants(t, "set password", o.in(layla, secret, home), nil)
	wants(t, "no such account", o.SetPassword(t.Context(), 99, secret), fs.ErrNotExist)
}

// A password that is changed while the old one is being compared must not let
// the old one in.
func TestPasswordChangesMeanwhile(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	for range hashesAtOnce {
		o.hashing <- struct{}{}
	}
	result := make(chan error)
	go func() { result <- o.in(layla, secret, home) }()
	start := time.Now()
	for counted := 0; counted == 0; { // until it has read the old hash
		if time.Since(start) > 10*time.Second {
			t.Fatal("the attempt isn't counted")
		}
		o.must(o.db.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM throttle", nil, &counted) }))
	}
	o.must(o.another().SetPassword(t.Context(), a.ID, "another staple"))
	<-o.hashing
	wants(t, "old password", <-result, ErrCredentials)
}

func BenchmarkAuthenticate(b *testing.B) {
	p := &People{cost: standard, hashing: make(chan struct{}, hashesAtOnce)}
	n, err := p.NewPassword(b.Context(), secret)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if f, err := p.verify(b.Context(), n.hash, secret); !f.ok || err != nil {
			b.Fatal(f.ok, err)
		}
	}
}
