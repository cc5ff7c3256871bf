package desk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
	"sijill/internal/web"
)

const (
	boss     = "boss@diwan.example"
	hind     = "hind@diwan.example"
	hindHome = "hind@home.example"
	password = "a correct horse"
)

// bench is a desk of an office with an administrator and a person with two
// identities.
type bench struct {
	*Desk
	t        *testing.T
	ctx      context.Context
	person   int64
	recovery string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t}
	a := &attendance{from: netip.MustParseAddr("192.0.2.7"), agent: "test"}
	b.ctx = context.WithValue(t.Context(), attendanceKey{}, a)
	opts := office.Options{Dir: t.TempDir(), Config: config.Default("Diwan", "diwan.example"), Key: vault.NewServerKey(), Log: slog.New(slog.DiscardHandler)}
	b.must(office.Create(b.ctx, opts))
	o, err := office.Open(b.ctx, opts)
	b.must(err)
	t.Cleanup(func() {
		a.end()
		b.must(o.Close())
	})
	for _, d := range []string{"diwan.example", "home.example"} {
		b.must(o.People.AddDomain(b.ctx, people.By{}, d))
	}
	_, err = o.AddOwn(b.ctx, people.Account{Name: "Boss", Address: boss, Role: people.RoleOwner | people.RoleAdministrator}, password)
	b.must(err)
	b.recovery, err = o.AddOwn(b.ctx, people.Account{Name: "Hind", Address: hind, Role: people.RoleOwner}, password)
	b.must(err)
	p, err := o.People.Lookup(b.ctx, hind)
	b.must(err)
	b.person = p.ID
	b.must(o.Access.AddAddress(b.ctx, people.By{}, p.ID, people.Address{Address: hindHome, Class: people.Personal}))
	b.Desk = New(o)
	return b
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wants(what string, err, want error) {
	b.t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		b.t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func (b *bench) in(name, password string) *web.Viewer {
	b.t.Helper()
	v, err := b.SignIn(b.ctx, name, password, "", web.Caller{From: netip.MustParseAddr("192.0.2.7")})
	b.must(err)
	return v
}

// again is the viewer that the next request of a session has.
func (b *bench) again(v *web.Viewer) *web.Viewer {
	b.t.Helper()
	v, err := b.Resume(b.ctx, v.Token)
	b.must(err)
	return v
}

func letterFrom(address string) *web.Letter {
	return &web.Letter{From: message.Address{Addr: address}, To: []message.Address{{Addr: boss}}, Class: sijill.Personal, Subject: "x", Text: "x", Draft: -1, Answers: -1}
}

// Who took an account by its password, without what opens its personal mail, neither
// sees nor sets what is done with that mail, nor writes in its name; and what was
// set before stops.
func TestClosedPersonalMail(t *testing.T) {
	b := newBench(t)
	v := b.in("hind", password)
	to := web.Forwarding{Class: sijill.Personal, To: "hind@abroad.example"}
	b.must(b.SetForwarding(b.ctx, v, to))
	if _, err := b.SaveDraft(b.ctx, v, -1, letterFrom(hindHome)); err != nil {
		t.Fatal(err)
	}
	given, err := b.ResetPassword(b.ctx, b.in("boss", password), b.person)
	b.must(err)
	v = b.in("hind", given)
	if !v.Fresh || v.Open {
		t.Fatalf("fresh %v, open %v", v.Fresh, v.Open)
	}
	_, err = b.ChangePassword(b.ctx, v, given, "chosen by somebody")
	b.must(err)
	v = b.again(v)
	if v.Fresh || v.Open {
		t.Fatalf("fresh %v, open %v", v.Fresh, v.Open)
	}
	_, err = b.Forwarding(b.ctx, v, sijill.Personal)
	b.wants("seeing where it goes", err, web.ErrClosed)
	_, err = b.Vacation(b.ctx, v, sijill.Personal)
	b.wants("seeing what is answered", err, web.ErrClosed)
	b.wants("passing it on", b.SetForwarding(b.ctx, v, web.Forwarding{Class: sijill.Personal, To: boss}), web.ErrClosed)
	b.wants("answering", b.SetVacation(b.ctx, v, web.Vacation{Class: sijill.Personal, On: true, Text: "x"}), web.ErrClosed)
	b.wants("signing", b.SetIdentity(b.ctx, v, web.Identity{Address: hindHome, Name: "x"}), web.ErrClosed)
	_, err = b.Send(b.ctx, v, letterFrom(hindHome), 0)
	b.wants("sending", err, web.ErrClosed)
	_, err = b.Check(b.ctx, v, letterFrom(hindHome))
	b.wants("checking", err, web.ErrClosed)
	_, err = b.SaveDraft(b.ctx, v, -1, letterFrom(hindHome))
	b.wants("writing", err, web.ErrClosed)
	folders, err := b.Folders(b.ctx, v)
	b.must(err)
	for _, f := range folders {
		if f.Class == sijill.Personal {
			b.wants("destroying", b.Expunge(b.ctx, v, f.ID, []int64{1}), web.ErrClosed)
		}
	}
	_, err = b.Forwarding(b.ctx, v, sijill.Office)
	b.must(err)
	_, err = b.Send(b.ctx, v, letterFrom(hind), 0)
	b.must(err)

	b.must(b.StepUpByCode(b.ctx, v, b.recovery))
	v = b.again(v)
	if f, err := b.Forwarding(b.ctx, v, sijill.Personal); err != nil || f.To != "" || f.Suspended != to.To {
		t.Errorf("after the reset: %+v, %v", f, err)
	}
	b.must(b.SetVacation(b.ctx, v, web.Vacation{Class: sijill.Personal, On: true, Text: "x"}))
	if f, err := b.Forwarding(b.ctx, v, sijill.Personal); err != nil || f.Suspended != to.To {
		t.Errorf("after another rule was set: %+v, %v", f, err)
	}
	b.must(b.SetForwarding(b.ctx, v, to))
	if f, err := b.Forwarding(b.ctx, v, sijill.Personal); err != nil || f.To != to.To || f.Suspended != "" {
		t.Errorf("in force again: %+v, %v", f, err)
	}
	_, err = b.Send(b.ctx, v, letterFrom(hindHome), 0)
	b.must(err)
	_, _, err = b.Recover(b.ctx, "hind", b.recovery, "chosen by hind", web.Caller{From: netip.MustParseAddr("192.0.2.7")})
	b.must(err)
	if f, err := b.Forwarding(b.ctx, b.in("hind", "chosen by hind"), sijill.Personal); err != nil || f.To != "" || f.Suspended != to.To {
		t.Errorf("after a recovery: %+v, %v", f, err)
	}
}

// Where mail is passed on to is as good as a credential: a new address wants a proof
// of late, none and the same one don't.
func TestForwardingWantsProof(t *testing.T) {
	b := newBench(t)
	v := b.in("hind", password)
	to := web.Forwarding{Class: sijill.Personal, To: "hind@abroad.example"}
	b.must(b.SetForwarding(b.ctx, v, to))
	s := visitOf(v).Session
	s.Proven = s.Proven.AddDate(0, 0, -1)
	b.must(b.SetForwarding(b.ctx, v, to))
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		b.wants("another address", b.SetForwarding(b.ctx, v, web.Forwarding{Class: class, To: boss}), web.ErrProve)
	}
	b.must(b.SetForwarding(b.ctx, v, web.Forwarding{Class: sijill.Personal}))
	b.wants("the first again", b.SetForwarding(b.ctx, v, to), web.ErrProve)
	b.must(b.Prove(b.ctx, v, password, web.Caller{From: netip.MustParseAddr("192.0.2.7")}))
	b.must(b.SetForwarding(b.ctx, v, to))
}

// inbox gives the letters that the office has sealed for an account, by class.
func (b *bench) letters(account int64) (list []string) {
	b.t.Helper()
	size, _ := b.o.Register.Head()
	for n := range size {
		it, err := b.o.Register.Item(b.ctx, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		b.must(err)
		if it.Entry.Kind != sijill.Captured || len(it.Holders) != 1 || it.Holders[0] != account {
			continue
		}
		c, err := it.Content()
		b.must(err)
		m := message.Parse(c.Message)
		list = append(list, fmt.Sprintf("%s: %s\n%s", it.Class, m.Subject(), m.Text()))
	}
	return list
}

// An administrator can't take a personal address for another account, and whose
// addresses are changed is told.
func TestAddressesOfOthers(t *testing.T) {
	b := newBench(t)
	admin := b.in("boss", password)
	b.must(b.RemoveAddress(b.ctx, admin, b.person, hindHome))
	b.wants("taking it", b.AddAddress(b.ctx, admin, admin.Account, hindHome, sijill.Personal), web.ErrFormer)
	b.wants("taking it for the office", b.AddAddress(b.ctx, admin, admin.Account, hindHome, sijill.Office), web.ErrFormer)
	_, err := b.MakeAccount(b.ctx, admin, web.NewAccount{Name: "New", Addresses: []web.Identity{{Address: hindHome, Class: sijill.Personal}}})
	b.wants("for a new account", err, web.ErrFormer)
	b.must(b.AddAddress(b.ctx, admin, b.person, "desk@diwan.example", sijill.Office))
	b.must(b.AddAddress(b.ctx, admin, admin.Account, "staff@diwan.example", sijill.Office))
	b.must(b.RemoveAddress(b.ctx, admin, b.person, hind))
	letters := b.letters(b.person)
	for i, want := range []string{"office: An address was taken", "office: An address was added", "office: An address was taken"} {
		if i >= len(letters) || !strings.HasPrefix(letters[i], want) || !strings.Contains(letters[i], "أحد المديرين") {
			t.Errorf("letter %d of %q, want %s", i, letters, want)
		}
	}
	all := strings.Join(letters, "\n")
	if strings.Contains(all, hindHome) || !strings.Contains(all, "desk@diwan.example") || !strings.Contains(all, hind) || len(letters) != 3 {
		t.Errorf("%d letters: %s", len(letters), all)
	}
	if own := b.letters(admin.Account); len(own) != 0 {
		t.Errorf("who did it is told %q", own)
	}
}
