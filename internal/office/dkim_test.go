package office

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailauth"
	"sijill/internal/people"
)

// broken is a domain whose DNS gives no answer. It comes before ourDomain.
const broken = "broken.example"

var errServFail = errors.New("SERVFAIL")

// turned is an office of two domains, each with keys that sign and keys that are to.
type turned struct {
	*Office
	records map[string]string // What DNS says.
}

func newTurned(t *testing.T) *turned {
	t.Helper()
	o, _ := openOffice(t)
	f := &turned{o, map[string]string{}}
	if err := o.People.AddDomain(t.Context(), people.By{}, broken); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{broken, ourDomain} {
		for range 2 {
			f.change(t, d, func(k *mailauth.Keys) error { _, err := k.Generate(time.Now().UTC()); return err })
		}
	}
	return f
}

func (f *turned) change(t *testing.T, domain string, change func(*mailauth.Keys) error) {
	t.Helper()
	keys, err := f.ChangeDKIM(t.Context(), domain, "", func(k *mailauth.Keys) (bool, error) { return true, change(k) })
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys.All {
		r, err := k.Record(domain)
		if err != nil {
			t.Fatal(err)
		}
		f.records[r.Name] = r.Text
	}
}

// ask is a DNS that has all records, and can't be asked for those of one domain.
func (f *turned) ask(_ context.Context, name, _ string) ([]string, error) {
	if strings.HasSuffix(strings.TrimSuffix(name, "."), broken) {
		return nil, errServFail
	}
	return []string{f.records[name]}, nil
}

// states are those of a domain's keys.
func (f *turned) states(t *testing.T, domain string) (list []mailauth.State) {
	t.Helper()
	keys, err := f.EnsureDKIM(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys.All {
		list = append(list, k.State)
	}
	return list
}

// A domain whose DNS is broken keeps no other one's keys from turning, and its own
// old ones expire all the same.
func TestKeysOfOneDomainTurnWithoutAnothers(t *testing.T) {
	f := newTurned(t)
	f.change(t, broken, func(keys *mailauth.Keys) error {
		for _, k := range keys.All {
			if k.State == mailauth.Active {
				k.State, k.Since = mailauth.Retiring, time.Now().Add(-retireAfter-time.Hour)
			}
		}
		return nil
	})
	if before := f.states(t, broken); !slices.Contains(before, mailauth.Retiring) || !slices.Contains(before, mailauth.Coming) {
		t.Fatalf("the keys of %s are %v", broken, before)
	}
	err := f.signers.turn(t.Context(), f.ask)
	if !errors.Is(err, errServFail) || !strings.Contains(err.Error(), broken) || strings.Contains(err.Error(), ourDomain) {
		t.Errorf("it is said that %v", err)
	}
	if got := f.states(t, ourDomain); slices.Contains(got, mailauth.Coming) || !slices.Contains(got, mailauth.Active) {
		t.Errorf("the keys of %s are %v, though DNS has them", ourDomain, got)
	}
	if got := f.states(t, broken); slices.Contains(got, mailauth.Retiring) || !slices.Contains(got, mailauth.Coming) {
		t.Errorf("the keys of %s are %v", broken, got)
	}
}

// Who signs reads keys, and waits for nobody who writes.
func TestSigningWritesNothing(t *testing.T) {
	o, _ := openOffice(t)
	if _, err := o.EnsureDKIM(t.Context(), ourDomain); err != nil {
		t.Fatal(err)
	}
	err := o.DB.Write(t.Context(), func(*db.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // It ends long before, or never.
		defer cancel()
		s, err := o.signers.of(ctx, ourDomain)
		if err != nil || s == nil {
			t.Errorf("while somebody writes: %v, %v", s, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The first keys of a domain are made by who signs, once.
func TestFirstKeys(t *testing.T) {
	o, _ := openOffice(t)
	s, err := o.signers.of(t.Context(), ourDomain)
	if err != nil || s == nil {
		t.Fatalf("%v, %v", s, err)
	}
	first, err := o.EnsureDKIM(t.Context(), ourDomain)
	if err != nil || len(first.All) == 0 {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := o.EnsureDKIM(t.Context(), ourDomain)
	if err != nil || len(again.All) != len(first.All) || again.All[0].Selector != first.All[0].Selector {
		t.Errorf("%v after %v: %v", again, first, err)
	}
	if s, err := o.signers.of(t.Context(), "elsewhere.example"); s != nil || err != nil {
		t.Errorf("somebody signs for others: %v, %v", s, err)
	}
}
