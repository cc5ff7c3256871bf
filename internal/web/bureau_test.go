package web

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"sijill"
)

// bureau runs the server.
type bureau struct {
	mu       sync.Mutex
	accounts []Account // Guarded by mu, as are all below.
	queue    []Outgoing
	domains  []Domain
	did      []string

	reportsTo []ReportsTo
}

func newBureau() *bureau {
	return &bureau{
		accounts: []Account{
			{ID: 1, Name: "سلمى الحداد", SignIn: "salma", Roles: Roles{Owner: true, Administrator: true}, Created: now.Add(-9000 * time.Hour), Used: now,
				Addresses: []Identity{{Address: records, Class: sijill.Office}, {Address: own, Class: sijill.Personal}}},
			{ID: 2, Name: "نورة السالم", SignIn: "noura", Roles: Roles{Records: true}, Created: now.Add(-5000 * time.Hour), Suspended: true,
				Addresses: []Identity{{Address: noura, Class: sijill.Office}}},
		},
		queue: []Outgoing{
			{ID: "q1", Entry: 12, Class: sijill.Office, To: "harbour@elsewhere.example", Size: 18_300, State: OutDeferred, Tries: 3, Since: now.Add(-5 * time.Hour), Next: now.Add(40 * time.Minute), LastAnswer: "451 4.7.1 Greylisted, come back later"},
			{ID: "q2", Entry: 40, Class: sijill.Personal, To: "mills.example", Size: 2_100, State: OutHeld, Since: now.Add(-time.Hour)},
		},
		reportsTo: []ReportsTo{{Domain: "diwan.example", Address: "postmaster@diwan.example", Whose: ReportsMine},
			{Domain: "bayt.example", Address: "postmaster@bayt.example", Whose: ReportsOther, Holder: "نورة السالم"}},
		domains: []Domain{{Name: "diwan.example", Own: true, Checked: now.Add(-10 * time.Minute), Records: []DNSRecord{
			{Purpose: "MX", Name: "diwan.example.", Type: "MX", Value: "10 mail.diwan.example.", State: DNSGood},
			{Purpose: "SPF", Name: "diwan.example.", Type: "TXT", Value: "\"v=spf1 mx -all\"", State: DNSWrong, Found: "\"v=spf1 a ~all\""},
			{Purpose: "DKIM", Name: "s2026._domainkey.diwan.example.", Type: "TXT", Value: "\"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"", State: DNSMissing},
			{Purpose: "TLS-RPT", Name: "_smtp._tls.diwan.example.", Type: "TXT", Value: "\"v=TLSRPTv1; rua=mailto:tls@diwan.example\"", State: DNSUnknown, Recommended: true},
		}}},
	}
}

func (b *bureau) note(what string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.did = append(b.did, what)
	return nil
}

func (b *bureau) done() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.did)
}

func (b *bureau) Accounts(context.Context, *Viewer) ([]Account, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.accounts), nil
}

func (b *bureau) MakeAccount(_ context.Context, _ *Viewer, a NewAccount) (Made, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, other := range b.accounts {
		for _, i := range other.Addresses {
			if i.Address == a.Addresses[0].Address {
				return Made{}, ErrTaken
			}
		}
	}
	b.accounts = append(b.accounts, Account{ID: int64(len(b.accounts) + 1), Name: a.Name, SignIn: a.SignIn, Addresses: a.Addresses, Roles: a.Roles, Created: now})
	return Made{Account: int64(len(b.accounts)), Password: "maple candle forty", Recovery: "QUILT-STONE-58"}, nil
}

func (b *bureau) Suspend(_ context.Context, _ *Viewer, id int64, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[id-1].Suspended = on
	return nil
}

func (b *bureau) ResetPassword(context.Context, *Viewer, int64) (string, error) {
	return "cobalt rain thirteen", b.note("reset")
}

func (b *bureau) EndFactor(_ context.Context, _ *Viewer, id int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.accounts[id-1].TOTP {
		return fs.ErrNotExist
	}
	b.accounts[id-1].TOTP = false
	return nil
}

func (b *bureau) SetRoles(_ context.Context, _ *Viewer, id int64, r Roles) error {
	if id == 1 && !r.Owner {
		return ErrForbidden
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[id-1].Roles = r
	return nil
}

func (b *bureau) AddAddress(_ context.Context, _ *Viewer, _ int64, address string, c sijill.Class) error {
	return b.note("add " + address + " " + string(c))
}

func (b *bureau) RemoveAddress(_ context.Context, _ *Viewer, _ int64, address string) error {
	return b.note("remove " + address)
}

func (b *bureau) Domains(context.Context, *Viewer) ([]Domain, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.domains), nil
}

func (b *bureau) AddDomain(_ context.Context, _ *Viewer, name string) error {
	if name == "diwan.example" {
		return ErrTaken
	}
	if !strings.Contains(name, ".") {
		return ErrUnsuited
	}
	return b.note("domain " + name)
}

func (b *bureau) RemoveDomain(_ context.Context, _ *Viewer, name string) error {
	if name == "diwan.example" {
		return ErrForbidden
	}
	if name != "mistyped.example" {
		return fs.ErrNotExist
	}
	return b.note("no domain " + name)
}

func (b *bureau) SetCatchAll(_ context.Context, _ *Viewer, domain, address string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.domains, func(d Domain) bool { return d.Name == domain })
	if i < 0 {
		return fs.ErrNotExist
	}
	if address != "" && address != records {
		return ErrUnsuited
	}
	b.domains[i].CatchAll = address
	return nil
}

func (b *bureau) Queue(context.Context, *Viewer) ([]Outgoing, error) { return b.queue, nil }

func (b *bureau) Hold(_ context.Context, _ *Viewer, id string, held bool) error {
	if held {
		return b.note("hold " + id)
	}
	return b.note("release " + id)
}

func (b *bureau) Retry(_ context.Context, _ *Viewer, id string) error { return b.note("retry " + id) }

func (b *bureau) Drop(_ context.Context, _ *Viewer, id, reason string) error {
	return b.note("drop " + id + " " + reason)
}

func (b *bureau) Health(context.Context, *Viewer) ([]Vital, error) {
	return []Vital{{Name: "register", Good: true, Figures: []int64{18_342}}, {Name: "disk", Good: true, Figures: []int64{51, 41}}, {Name: "tls", Good: false, Said: "mail.diwan.example expires in 5 days", Since: now.Add(-2 * time.Hour)}}, nil
}

func (b *bureau) Reports(context.Context, *Viewer) (Reports, error) {
	return Reports{Days: 30, To: b.reportsTo, List: []Report{{Kind: "dmarc", From: "orchard.example", Domain: "diwan.example", Begin: now.Add(-48 * time.Hour), End: now.Add(-24 * time.Hour), Good: 212, Wrong: 3},
		{Kind: "tls", From: "Elsewhere Ltd", Domain: "diwan.example", Begin: now.Add(-48 * time.Hour), End: now.Add(-24 * time.Hour), Good: 1204}}}, nil
}
