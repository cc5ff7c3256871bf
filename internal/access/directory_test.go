package access

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"sijill"
	"sijill/internal/people"
)

// entry is one entry as the test reads it: with what the server can open of it.
func (o *office) entry(n int64) (e *sijill.Entry, detail string, closed bool) {
	o.t.Helper()
	it, err := o.register.Item(o.t.Context(), n)
	o.must(err)
	c, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) {
		return it.Entry, "", it.Entry.Message != nil
	}
	o.must(err)
	return it.Entry, string(c.Detail), false
}

// size is how many entries there are.
func (o *office) size() int64 {
	n, _ := o.register.Head()
	return n
}

// Every change of roles, addresses, domains and catch-alls is one entry, at once;
// what changes nothing, or fails, is none. No entry shows an address.
func TestChangesOfTheDirectory(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	omar, err := o.NewAccount(t.Context(), people.By{}, people.Account{Name: "Omar", Address: "omar@diwan.example"}, "")
	o.must(err)
	ctx, admin, id := t.Context(), by(s), omar.ID
	admin.Account = s.Account.ID
	own, press := "omar@home.example", people.Address{Address: "press@diwan.example", Alias: true}
	for _, step := range []struct {
		what, kind, fields, detail string
		closed                     bool
		do                         func() error
	}{
		{"address added", "config", `{"did":"added","what":"address"}`, "desk@diwan.example", false,
			func() error { return o.AddAddress(ctx, admin, id, people.Address{Address: "desk@diwan.example"}) }},
		{"alias added", "config", `{"alias":true,"did":"added","what":"address"}`, "press@diwan.example", false,
			func() error { return o.AddAddress(ctx, admin, id, press) }},
		{"personal address added", "config", `{"class":"personal","did":"added","what":"address"}`, "", true,
			func() error {
				return o.AddAddress(ctx, admin, id, people.Address{Address: own, Class: people.Personal})
			}},
		{"alias made to send", "config", `{"alias":true,"did":"changed","what":"address"}`, "press@diwan.example", false,
			func() error { press.Sends = true; return o.SetAddress(ctx, admin, id, press) }},
		{"name changed", "", "", "", false,
			func() error { press.Name = "Press"; return o.SetAddress(ctx, admin, id, press) }},
		{"alias no more", "config", `{"did":"changed","what":"address"}`, "press@diwan.example", false,
			func() error { press.Alias = false; return o.SetAddress(ctx, admin, id, press) }},
		{"own address", "config", `{"did":"changed","what":"address"}`, "press@diwan.example", false,
			func() error { press.Primary = true; return o.SetAddress(ctx, admin, id, press) }},
		{"own address again", "", "", "", false, func() error { return o.SetAddress(ctx, admin, id, press) }},
		{"catch-all", "config", `{"did":"changed","what":"catch-all"}`, "desk@diwan.example", false,
			func() error { return o.SetCatchAll(ctx, admin, "diwan.example", "desk@diwan.example") }},
		{"the same catch-all", "", "", "", false,
			func() error { return o.SetCatchAll(ctx, admin, "diwan.example", "desk@diwan.example") }},
		{"no catch-all", "config", `{"did":"removed","what":"catch-all"}`, "desk@diwan.example", false,
			func() error { return o.SetCatchAll(ctx, admin, "diwan.example", "") }},
		{"personal catch-all", "config", `{"class":"personal","did":"changed","what":"catch-all"}`, "", true,
			func() error { return o.SetCatchAll(ctx, admin, "home.example", own) }},
		{"personal address removed", "config", `{"class":"personal","did":"removed","what":"address"}`, "", true,
			func() error { return o.RemoveAddress(ctx, admin, id, own) }},
		{"address removed", "config", `{"did":"removed","what":"address"}`, "desk@diwan.example", false,
			func() error { return o.RemoveAddress(ctx, admin, id, "desk@diwan.example") }},
		{"domain added", "config", `{"did":"added","what":"domain"}`, "new.example", false,
			func() error { return o.AddDomain(ctx, admin, "new.example") }},
		{"the same domain", "", "", "", false, func() error { return o.AddDomain(ctx, admin, "NEW.example") }},
		{"domain removed", "config", `{"did":"removed","what":"domain"}`, "new.example", false,
			func() error { return o.RemoveDomain(ctx, admin, "new.example") }},
		{"roles given", "grant", `{"given":["administrator","records-officer"],"what":"roles"}`, "192.0.2.0/24", false,
			func() error {
				return o.SetRole(ctx, admin, id, people.RoleAdministrator|people.RoleRecordsOfficer)
			}},
		{"roles exchanged", "grant", `{"given":["owner"],"taken":["records-officer"],"what":"roles"}`, "192.0.2.0/24", false,
			func() error { return o.SetRole(ctx, admin, id, people.RoleOwner|people.RoleAdministrator) }},
		{"the same roles", "", "", "", false,
			func() error { return o.SetRole(ctx, admin, id, people.RoleOwner|people.RoleAdministrator) }},
	} {
		before := o.size()
		o.must(step.do())
		if step.kind == "" {
			if o.size() != before {
				t.Errorf("%s: %d entries", step.what, o.size()-before)
			}
			continue
		}
		if o.size() != before+1 {
			t.Fatalf("%s: %d entries", step.what, o.size()-before)
		}
		e, detail, closed := o.entry(before)
		if string(e.Kind) != step.kind || string(e.Fields) != step.fields || e.Actor != s.Account.Pseudonym {
			t.Errorf("%s: %s %s by %q, want %s %s", step.what, e.Kind, e.Fields, e.Actor, step.kind, step.fields)
		}
		if !strings.Contains(detail, step.detail) || closed != step.closed {
			t.Errorf("%s: sealed %q, closed %v", step.what, detail, closed)
		}
		if body, err := e.Marshal(); err != nil || strings.Contains(string(body), "example") {
			t.Errorf("%s: %s %v", step.what, body, err)
		}
	}
	before := o.size()
	wants(t, "taken", o.AddAddress(ctx, admin, id, people.Address{Address: layla}), fs.ErrExist)
	wants(t, "not theirs", o.RemoveAddress(ctx, admin, id, layla), fs.ErrNotExist)
	wants(t, "the last owner", o.SetRole(ctx, admin, 99, 0), fs.ErrNotExist)
	wants(t, "to nobody", o.SetCatchAll(ctx, admin, "diwan.example", "nobody@diwan.example"), fs.ErrNotExist)
	if o.size() != before {
		t.Error("what failed is on record")
	}
}

// What was changed about personal addresses before an account had roots is told
// without the address: nothing could seal it to its person alone.
func TestPersonalAddressWithoutRoots(t *testing.T) {
	o := newOffice(t)
	a, err := o.People.Add(t.Context(), people.Account{Name: "Omar", Address: "omar@diwan.example", Role: people.RoleOwner | people.RoleAdministrator}, password)
	o.must(err)
	before := o.size()
	o.must(o.AddAddress(t.Context(), people.By{}, a.ID, people.Address{Address: "omar@home.example", Class: people.Personal}))
	var told []string
	for n := before; n < o.size(); n++ {
		e, detail, _ := o.entry(n)
		var f struct{ What, Did string }
		if err := json.Unmarshal(e.Fields, &f); err != nil || strings.Contains(detail, "home.example") && f.What == "address" {
			t.Errorf("%s %s %q %v", e.Kind, e.Fields, detail, err)
		}
		told = append(told, string(e.Kind)+" "+f.What)
	}
	if want := []string{"key account", "grant roles", "config address"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
