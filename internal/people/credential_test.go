package people

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"sijill/internal/db"
)

const origin = "https://mail.diwan.example"

// code is what a second factor shows, so many steps from now.
func (o *office) code(secret string, steps int) string {
	o.t.Helper()
	c, err := totp.GenerateCode(secret, o.clock.Add(time.Duration(steps)*30*time.Second))
	o.must(err)
	return c
}

func (o *office) factor(account int64) string {
	o.t.Helper()
	f, err := o.BeginTOTP(o.t.Context(), account, "Diwan: \u200fمثال")
	o.must(err)
	o.must(o.ConfirmTOTP(o.t.Context(), By{}, account, o.code(f.Secret, 0)))
	return f.Secret
}

func (o *office) with(code string) error {
	_, err := o.Prove(o.t.Context(), Credentials{Name: layla, Password: secret, Code: code, From: stranger})
	return err
}

func TestCodesOfASecondFactor(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	wants(t, "none begun", o.ConfirmTOTP(t.Context(), By{}, a.ID, "123456"), fs.ErrNotExist)
	f, err := o.BeginTOTP(t.Context(), a.ID, "Diwan")
	o.must(err)
	if !regexp.MustCompile(`^[A-Z2-7]{32}$`).MatchString(f.Secret) || !strings.HasPrefix(f.URI, "otpauth://totp/") {
		t.Errorf("second factor %+v", f)
	}
	picture, err := f.PNG(200)
	o.must(err)
	if _, err := png.Decode(bytes.NewReader(picture)); err != nil {
		t.Error(err)
	}
	wants(t, "not confirmed: not asked for", o.with(""), nil)
	wants(t, "wrong", o.ConfirmTOTP(t.Context(), By{}, a.ID, o.code(f.Secret, 2)), ErrCode)
	o.must(o.ConfirmTOTP(t.Context(), By{}, a.ID, o.code(f.Secret, -1)))
	if has, err := o.HasTOTP(t.Context(), a.ID); !has || err != nil {
		t.Errorf("has %v, %v", has, err)
	}
	for _, test := range []struct {
		what string
		code string
		want error
	}{
		{"none", "", ErrCode},
		{"the one that confirmed it", o.code(f.Secret, -1), ErrCode},
		{"too far ahead", o.code(f.Secret, 2), ErrCode},
		{"now, in Arabic digits and groups", arabic(o.code(f.Secret, 0)[:3] + " " + o.code(f.Secret, 0)[3:]), nil},
		{"again", o.code(f.Secret, 0), ErrCode},
		{"letters", "abcdef", ErrCode},
	} {
		wants(t, test.what, o.with(test.code), test.want)
	}
	o.clock = o.clock.Add(time.Hour)
	wants(t, "a step ahead", o.with(o.code(f.Secret, 1)), nil)
	wants(t, "one before a taken one", o.with(o.code(f.Secret, 0)), ErrCode)
	// A new one takes its place only when it was shown.
	next, err := o.BeginTOTP(t.Context(), a.ID, "Diwan")
	o.must(err)
	o.clock = o.clock.Add(time.Hour)
	wants(t, "the old one", o.with(o.code(f.Secret, 0)), nil)
	o.must(o.ConfirmTOTP(t.Context(), By{}, a.ID, o.code(next.Secret, 0)))
	o.clock = o.clock.Add(time.Hour)
	wants(t, "the old one, replaced", o.with(o.code(f.Secret, 0)), ErrCode)
	wants(t, "the new one", o.with(o.code(next.Secret, 0)), nil)
	o.must(o.RemoveTOTP(t.Context(), By{}, a.ID))
	wants(t, "removed", o.with(""), nil)
	wants(t, "removed again", o.RemoveTOTP(t.Context(), By{}, a.ID), fs.ErrNotExist)
}

func arabic(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + '٠'
		}
		return r
	}, s)
}

// Whoever has the password can't guess codes for ever by asking in between.
func TestCodeGuessesSlowDown(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	o.factor(a.ID)
	for range addressLimit.free {
		wants(t, "asked for", o.with(""), ErrCode)
		wants(t, "a guess", o.with("000000"), ErrCode)
	}
	if err := o.with(""); slow(err) == 0 {
		t.Errorf("after %d guesses: %v", addressLimit.free, err)
	}
	o.told("login burst")
}

// Two who show the same code at once: one gets in.
func TestCodeIsTakenOnce(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	s := o.factor(a.ID)
	o.clock = o.clock.Add(time.Minute)
	code := o.code(s, 0)
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if o.with(code) == nil {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in with one code", in.Load())
	}
}

func TestCheckCode(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	wants(t, "none", o.CheckCode(t.Context(), a.ID, "123456", stranger), fs.ErrNotExist)
	s := o.factor(a.ID)
	o.clock = o.clock.Add(time.Minute)
	o.must(o.CheckCode(t.Context(), a.ID, o.code(s, 0), stranger))
	for range addressLimit.free {
		wants(t, "taken", o.CheckCode(t.Context(), a.ID, o.code(s, 0), stranger), ErrCode)
	}
	if err := o.CheckCode(t.Context(), a.ID, o.code(s, 1), stranger); slow(err) == 0 {
		t.Errorf("after %d guesses: %v", addressLimit.free, err)
	}
}

func TestRecoveryCodes(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	r := NewRecovery()
	if !regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{4}-){6}[0-9a-hjkmnp-tv-z]{4}$`).MatchString(r.Code) {
		t.Errorf("code %q", r.Code)
	}
	_, err := o.ProveRecovery(t.Context(), "", r.Code, stranger)
	wants(t, "nobody's", err, ErrCredentials)
	o.must(o.SetRecovery(t.Context(), By{}, a.ID, r, time.Time{}))
	zero := strings.NewReplacer("0", "O", "1", "l", "-", "\u00a0")
	for _, typed := range []string{r.Code, strings.ToUpper(r.Code), zero.Replace(r.Code), arabic(r.Code), " " + strings.ReplaceAll(r.Code, "-", "–")} {
		p, err := o.ProveRecovery(t.Context(), "", typed, stranger)
		if err != nil || p.Account != a || p.Secret != r.Secret || p.Credential != r.Credential || !p.HasSecret {
			t.Errorf("%q: %+v, %v", typed, p, err)
		}
	}
	_, err = o.ProveRecovery(t.Context(), "omar@diwan.example", r.Code, stranger)
	wants(t, "another's name", err, ErrCredentials)
	for i, c := range r.Code { // every slip of one letter is found, but for one in 4,096
		if c != '-' {
			slip := []byte(r.Code)
			slip[i] = alphabet[(strings.IndexRune(alphabet, c)+1)%32]
			if _, err := o.ProveRecovery(t.Context(), "", string(slip), stranger); errors.Is(err, ErrCredentials) {
				t.Logf("a slip at %d was taken for a code", i)
			} else {
				wants(t, "a slip", err, ErrMistyped)
			}
		}
	}
	for _, bad := range []string{"", "x", r.Code + "0", r.Code[1:], strings.Repeat("u", 28), strings.Repeat("0", 2000)} {
		_, err := o.ProveRecovery(t.Context(), "", bad, stranger)
		wants(t, "not a code", err, ErrMistyped)
	}
	next := NewRecovery()
	o.must(o.SetRecovery(t.Context(), By{}, a.ID, next, o.clock))
	if _, err := o.ProveRecovery(t.Context(), "", r.Code, stranger); err != nil {
		t.Errorf("the code of roots before: %v", err)
	}
	third := NewRecovery()
	o.must(o.SetRecovery(t.Context(), By{}, a.ID, third, time.Time{}))
	_, err = o.ProveRecovery(t.Context(), "", next.Code, stranger)
	wants(t, "replaced", err, ErrCredentials)
	name, made, err := o.RecoveryCredential(t.Context(), a.ID)
	if err != nil || name != third.Credential || !made.Equal(o.clock) {
		t.Errorf("called %q, made %v, %v", name, made, err)
	}
	o.must(o.ForgetOldRecovery(t.Context(), a.ID))
	_, err = o.ProveRecovery(t.Context(), "", r.Code, stranger)
	wants(t, "forgotten", err, ErrCredentials)
	for range networkLimit.free {
		_, _ = o.ProveRecovery(t.Context(), "", NewRecovery().Code, stranger)
	}
	if _, err := o.ProveRecovery(t.Context(), "", NewRecovery().Code, stranger); slow(err) == 0 {
		t.Errorf("after many guesses: %v", err)
	}
	if _, err := o.ProveRecovery(t.Context(), "", third.Code, stranger); err != nil {
		t.Errorf("the right code from there: %v", err)
	}
}

func FuzzCodes(f *testing.F) {
	f.Add(NewRecovery().Code)
	f.Add("O0Il-١٢٣\u2013\xff")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseRecovery(s)
		if err != nil {
			if !errors.Is(err, ErrMistyped) {
				t.Fatal(err)
			}
			return
		}
		again, err := parseRecovery(r.Code)
		if err != nil || *again != *r {
			t.Fatalf("%q was read as %q, which is read as %v, %v", s, r.Code, again, err)
		}
	})
}

func (o *office) app(account int64, scope Scope) *NewApp {
	o.t.Helper()
	n, err := o.MakeAppPassword(o.t.Context(), By{}, account, "phone", scope)
	o.must(err)
	return n
}

func (o *office) program(name, password string, from netip.Addr) (*AppProof, error) {
	return o.Application(o.t.Context(), Credentials{Name: name, Password: password, From: from, Door: "imap"})
}

func TestAppPasswordLimits(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	for _, label := range []string{"", "a\nb", strings.Repeat("x", 201)} {
		_, err := o.MakeAppPassword(t.Context(), By{}, a.ID, label, ScopeBoth)
		wants(t, "label", err, ErrInvalid)
	}
	for _, scope := range []Scope{0, 4} {
		_, err := o.MakeAppPassword(t.Context(), By{}, a.ID, "phone", scope)
		wants(t, "scope", err, ErrInvalid)
	}
	_, err := o.MakeAppPassword(t.Context(), By{}, 99, "phone", ScopeBoth)
	wants(t, "no such account", err, fs.ErrNotExist)
	n := o.app(a.ID, ScopeBoth)
	if !regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{4}-){5}[0-9a-hjkmnp-tv-z]{4}$`).MatchString(n.Password) {
		t.Errorf("password %q", n.Password)
	}
	for range maxApps - 1 {
		o.app(a.ID, ScopeOffice)
	}
	_, err = o.MakeAppPassword(t.Context(), By{}, a.ID, "phone", ScopeBoth)
	wants(t, "too many", err, ErrTooMany)
	d := o.without()
	_, err = d.Application(t.Context(), Credentials{Name: layla, Password: n.Password})
	wants(t, "without a key", err, ErrNoKey)
	_, err = d.MakeAppPassword(t.Context(), By{}, a.ID, "phone", ScopeBoth)
	wants(t, "without a key", err, ErrNoKey)
	_, err = d.BeginTOTP(t.Context(), a.ID, "x")
	wants(t, "without a key", err, ErrNoKey)
	_, err = d.BeginPasskey(t.Context())
	wants(t, "without a site", err, ErrNoKey)
}

// One entry per credential, door, network and day; last use is noted.
func TestAppPasswordUse(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	n := o.app(a.ID, ScopeBoth)
	before := o.count("login signed-in")
	use := func(door string, from netip.Addr) {
		t.Helper()
		p, err := o.Application(t.Context(), Credentials{Name: "layla", Password: n.Password, From: from, Door: door})
		if err != nil || p.Account != a || p.Scope != ScopeBoth || p.Credential != n.Credential() || p.Secret != n.Secret {
			t.Fatalf("proof %+v, %v", p, err)
		}
	}
	for range 3 {
		for _, door := range []string{"imap", "submission"} {
			for _, from := range []netip.Addr{home, netip.MustParseAddr("192.0.2.99"), stranger} {
				use(door, from)
				o.clock = o.clock.Add(time.Minute)
			}
		}
	}
	if got := o.count("login signed-in") - before; got != 4 {
		t.Errorf("%d entries for two doors and two networks, want 4", got)
	}
	o.clock = o.clock.Add(24 * time.Hour)
	use("imap", home)
	if got := o.count("login signed-in") - before; got != 5 {
		t.Errorf("%d entries by the next day, want 5", got)
	}
	list, err := o.AppPasswords(t.Context(), a.ID)
	if err != nil || len(list) != 1 || !list[0].Used.Equal(o.clock) || list[0].Network != "192.0.2.0/24" {
		t.Errorf("%+v, %v", list, err)
	}
	var rows int
	o.must(o.db.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM use", nil, &rows) }))
	if rows != 5 {
		t.Errorf("%d rows of use are kept", rows)
	}
}

// A program that shows a revoked password every minute is no guesser, and others of
// its network aren't made to wait for it; guesses are slowed, and the right password
// always gets in.
func TestAppPasswordThrottle(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	n, revoked := o.app(a.ID, ScopeBoth), o.app(a.ID, ScopeBoth)
	o.must(o.RevokeAppPassword(t.Context(), By{}, a.ID, revoked.ID))
	for range 3 * networkLimit.free {
		_, err := o.program(layla, revoked.Password, home)
		wants(t, "revoked", err, ErrCredentials)
	}
	wants(t, "a person in the same network", o.in(layla, secret, home), nil)
	for _, name := range []string{layla, "nobody@diwan.example", "nobody"} {
		for i := range addressLimit.free + 1 {
			_, err := o.program(name, fmt.Sprintf("%s-%04d", GeneratePassword(), i), stranger)
			if i == addressLimit.free {
				if slow(err) == 0 {
					t.Errorf("%s: guess %d: %v", name, i, err)
				}
				break
			}
			wants(t, name, err, ErrCredentials)
		}
	}
	if _, err := o.program(layla, n.Password, stranger); err != nil {
		t.Errorf("the right password from there: %v", err)
	}
	o.told("login burst imap")
}

// worked is how much of the processors this process has used: unlike the time on a
// clock, it doesn't tell what else the machine does.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// An unknown name takes as long as a known one, as does a name of the other kind.
func TestUnknownNamesOfProgramsTakeAsLong(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	for range 50 {
		o.app(a.ID, ScopeBoth)
	}
	took := func(name string) time.Duration {
		best := time.Hour
		for i := range 40 {
			start := worked(t)
			_, err := o.program(name, GeneratePassword()+"-0000-0000", netip.AddrFrom4([4]byte{10, byte(i)}))
			wants(t, name, err, ErrCredentials)
			best = min(best, worked(t)-start)
			o.clock = o.clock.Add(48 * time.Hour)
		}
		return best
	}
	known, unknown, bare := took(layla), took("nobody@diwan.example"), took("nobody")
	for _, other := range []time.Duration{unknown, bare} {
		if ratio := float64(known) / float64(other); ratio < 0.5 || ratio > 2 {
			t.Errorf("known %v, unknown address %v, unknown name %v", known, unknown, bare)
		}
	}
}

// count counts what the register is owed, by kind and what it tells.
func (o *office) count(what string) (n int) {
	o.t.Helper()
	list, err := o.Owed(o.t.Context(), true)
	o.must(err)
	if len(list) == 100 {
		o.t.Fatal("more is owed than one look shows")
	}
	for _, e := range list {
		text := fmt.Sprintf("%s %s %s %s", e.Kind, e.Fields.What, e.Fields.Did, e.Fields.Door)
		if strings.HasPrefix(strings.Join(strings.Fields(text), " "), what) {
			n++
		}
	}
	return n
}

func (o *office) told(what ...string) {
	o.t.Helper()
	for _, w := range what {
		if o.count(w) == 0 {
			o.t.Errorf("nothing tells of %q", w)
		}
	}
}
