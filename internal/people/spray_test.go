package people

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sijill"
)

// A spray is noticed however slow it is, and whatever door it takes.
func TestSprayIsNoticed(t *testing.T) {
	o := newOffice(t)
	o.add(layla, RoleOwner)
	guess := func(i int) error {
		return o.in(fmt.Sprintf("person%d@diwan.example", i), "Spring2026!!", netip.AddrFrom4([4]byte{198, byte(i / 250), byte(i), 9}))
	}
	for i := range spans[0].names {
		if o.count("login spray") > 0 {
			t.Fatalf("after %d names", i)
		}
		wants(t, "a guess", guess(int(i)), ErrCredentials)
		o.clock = o.clock.Add(110 * time.Minute)
	}
	if n := o.count("login spray"); n != 1 {
		t.Fatalf("%d events", n)
	}
	list, err := o.Owed(t.Context(), false)
	o.must(err)
	last := list[len(list)-1]
	if last.Kind != sijill.Login || !reflect.DeepEqual(last.Fields, Fields{What: "spray", Door: "web", Names: 12, Networks: 12, Hours: 24}) || last.Detail != (Detail{}) {
		t.Errorf("event %+v", last)
	}
	// While it goes on, strangers have fewer tries.
	for range sprayedFree {
		wants(t, "a stranger", o.in(layla, "a wrong password", stranger), ErrCredentials)
	}
	if err := o.in(layla, secret, stranger); slow(err) == 0 {
		t.Errorf("a stranger, during a spray: %v", err)
	}
	for i := range 40 {
		wants(t, "a guess", guess(100+i), ErrCredentials)
	}
	if n := o.count("login spray"); n != 4 { // two doublings, and the week's own
		t.Errorf("%d events", n)
	}
}

// A slower one, of which no day has enough.
func TestSlowSprayIsNoticed(t *testing.T) {
	o := newOffice(t)
	for i := range spans[1].names {
		wants(t, "a guess", o.in(fmt.Sprintf("person%d@diwan.example", i), "Spring2026!!", netip.AddrFrom4([4]byte{198, 51, byte(i), 9})), ErrCredentials)
		o.clock = o.clock.Add(4 * time.Hour)
	}
	if n := o.count("login spray"); n != 1 {
		t.Errorf("%d events", n)
	}
}

// An office whose people mistype on Sunday morning sprays nothing.
func TestMistypingIsNoSpray(t *testing.T) {
	o := newOffice(t)
	for i := range 30 {
		name := fmt.Sprintf("person%d@diwan.example", i)
		o.add(name, 0)
		from := netip.AddrFrom4([4]byte{10, 0, byte(i), 1})
		wants(t, "mistyped", o.in(name, "a wrong password", from), ErrCredentials)
		wants(t, "typed", o.in(name, secret, from), nil)
	}
	if n := o.count("login spray"); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestBurstIsTold(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, RoleOwner)
	for range 4 * addressLimit.free {
		wants(t, "a guess", o.in(layla, "a wrong password", stranger), ErrCredentials)
		o.clock = o.clock.Add(addressLimit.most)
	}
	var failures []int64
	list, err := o.Owed(t.Context(), false)
	o.must(err)
	for _, e := range list {
		if e.Fields.What == "burst" {
			failures = append(failures, e.Fields.Failures)
			if e.Account != a.ID || e.Actor != 0 || e.Detail.Network != "198.51.100.0/24" || e.Fields.Door != "web" {
				t.Errorf("event %+v", e)
			}
		}
	}
	if fmt.Sprint(failures) != "[5 10 20]" {
		t.Errorf("bursts told at %v", failures)
	}
}

func TestScopes(t *testing.T) {
	for s := ScopeOffice; s <= ScopeBoth; s++ {
		if got, err := ParseScope(s.String()); got != s || err != nil {
			t.Errorf("%q became %d, %v", s, got, err)
		}
	}
	_, err := ParseScope("")
	wants(t, "nothing", err, ErrInvalid)
	if !ScopeBoth.Has(Office) || !ScopeBoth.Has(Personal) || ScopeOffice.Has(Personal) || ScopePersonal.Has(Office) || ScopeBoth.Has("") {
		t.Error("scopes have the wrong classes")
	}
}

func TestAgentsAreTamed(t *testing.T) {
	for in, want := range map[string]string{"Browser/1 (ليلى)": "Browser/1 (ليلى)", "a\r\nb\x00\xff": "ab", strings.Repeat("ل", 200): strings.Repeat("ل", 128)} {
		if got := agentForm(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}
