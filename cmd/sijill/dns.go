package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sijill/internal/mailauth"
	"sijill/internal/office"
	"sijill/internal/setup"
)

// DNSCmd prints and checks the DNS records of the office's domains.
type DNSCmd struct {
	Address []netip.Addr  `help:"Public address of the server, for its own records; without one DNS is asked where it is." placeholder:"IP"`
	NoCheck bool          `help:"Don't ask DNS what is there."`
	Timeout time.Duration `help:"How long to ask." default:"30s"`
}

// zone is what belongs together: the server's own records, or a domain's.
type zone struct {
	name string
	list []setup.Checked
}

// Run implements the command.
func (c *DNSCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if c.Timeout <= 0 {
			return errors.New("--timeout must be longer than nothing")
		}
		domains, err := o.People.Domains(ctx)
		if err != nil {
			return err
		}
		asking, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		host := c.host(asking, o, domains, o.Lookup())
		zones := []zone{{name: "the server, " + o.Config.ServerName()}}
		if zones[0].list, err = c.check(ctx, asking, host, o.Lookup()); err != nil {
			return err
		}
		for _, d := range domains {
			records, err := o.DNSRecords(ctx, d)
			if err != nil {
				return err
			}
			checked, err := c.check(ctx, asking, records, o.Lookup())
			if err != nil {
				return err
			}
			zones = append(zones, zone{d, checked})
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(dnsRows(zones))
		}
		return c.print(out, zones, o.Config.ServerName())
	})
}

// dnsRow is what --json says of a record.
type dnsRow struct {
	Purpose setup.Purpose `json:"purpose"`
	Name    string        `json:"name"`
	Type    string        `json:"type"`
	Value   string        `json:"value"`
	State   setup.State   `json:"state"`
	Found   []string      `json:"found"` // What DNS has instead.
}

func dnsRows(zones []zone) []dnsRow {
	rows := []dnsRow{}
	for _, z := range zones {
		for _, r := range z.list {
			rows = append(rows, dnsRow{r.Purpose, r.Name, r.Type, r.Value, r.State, append([]string{}, r.Found...)})
		}
	}
	return rows
}

// host are the server's own records, once, however many domains it serves. Where
// nobody says which addresses it has, they are those that DNS has.
func (c *DNSCmd) host(ctx context.Context, o *office.Office, domains []string, ask setup.Lookup) []setup.Record {
	name, addresses := o.Config.ServerName(), c.Address
	if len(addresses) == 0 && !c.NoCheck {
		for _, kind := range []string{"A", "AAAA"} {
			found, _ := ask(ctx, name, kind) // What can't be found is said when the records are printed.
			for _, f := range found {
				if a, err := netip.ParseAddr(f); err == nil {
					addresses = append(addresses, a)
				}
			}
		}
	}
	list := setup.HostRecords(name, addresses)
	if !slices.Contains(domains, strings.ToLower(name)) {
		list = append(list, setup.HelloRecord(name))
	}
	return list
}

// check asks DNS what is there. What it doesn't answer in time is unknown.
func (c *DNSCmd) check(ctx, asking context.Context, records []setup.Record, ask setup.Lookup) ([]setup.Checked, error) {
	if c.NoCheck {
		var list []setup.Checked
		for _, r := range records {
			list = append(list, setup.Checked{Record: r, State: setup.StateUnknown})
		}
		return list, nil
	}
	list, err := setup.Check(asking, records, ask)
	if err != nil && ctx.Err() == nil {
		err = nil // The time to ask is over.
	}
	return list, err
}

// why says in a line what a record is for.
var why = map[setup.Purpose]string{
	setup.PurposeAddress: "where the server is", setup.PurposeReverse: "ask the provider of the address to set it: others look it up before they take mail",
	setup.PurposeMX: "mail is brought here", setup.PurposeSPF: "who may send for the domain", setup.PurposeDKIM: "the key that signs",
	setup.PurposeDMARC: "what to do with forgeries", setup.PurposeSTS: "mail must come encrypted", setup.PurposeTLSReport: "where to report failures of encryption",
	setup.PurposeServices: "mail programs find the server", setup.PurposeAutoconfig: "mail programs find the settings", setup.PurposeAutodiscover: "Outlook finds the settings",
}

var marks = map[setup.State]string{setup.StateRight: "✓", setup.StateMissing: "✗ missing", setup.StateDifferent: "✗ different", setup.StateUnknown: "? DNS does not answer"}

// print writes the records as lines of a zone file, each with its state and
// purpose behind it.
func (c *DNSCmd) print(w io.Writer, zones []zone, host string) error {
	wrong, all, placed := 0, 0, false
	for i, z := range zones {
		fmt.Fprintf(w, "%s; == %s ==\n", strings.Repeat("\n", min(i, 1)), z.name)
		for _, r := range z.list {
			all++
			placed = placed || r.Purpose == setup.PurposeAddress
			if r.State == setup.StateMissing || r.State == setup.StateDifferent {
				wrong++
			}
			if err := c.line(w, r); err != nil {
				return err
			}
		}
	}
	if !placed {
		fmt.Fprintf(w, "\n; The addresses of %s are not known: give them with --address to see its A, AAAA and PTR records.\n", host)
		wrong, all = wrong+1, all+1
	}
	switch {
	case c.NoCheck:
		return nil
	case wrong > 0:
		fmt.Fprintf(w, "\n; %d of %d are to be set.\n", wrong, all)
		return exit(1)
	}
	return nil
}

// line writes one record.
func (c *DNSCmd) line(w io.Writer, r setup.Checked) error {
	mark := " " + marks[r.State]
	if c.NoCheck {
		mark = ""
	}
	if _, err := fmt.Fprintf(w, "; %s%s\n%s. IN %s %s\n", why[r.Purpose], mark, r.Name, r.Type, zoneValue(r.Record)); err != nil {
		return err
	}
	if r.State == setup.StateDifferent {
		for _, f := range r.Found {
			fmt.Fprintf(w, ";   there is: %s\n", f)
		}
	}
	return nil
}

// zoneValue writes a TXT in strings of at most 255 octets.
func zoneValue(r setup.Record) string {
	if r.Type != "TXT" {
		return r.Value
	}
	var b strings.Builder
	for rest := r.Value; ; {
		n := min(len(rest), 255)
		fmt.Fprintf(&b, "%q", rest[:n])
		if rest = rest[n:]; rest == "" {
			return b.String()
		}
		b.WriteByte(' ')
	}
}

// DKIMCmd groups the commands about signing keys.
type DKIMCmd struct {
	List   DKIMListCmd   `cmd:"" default:"1" help:"List the signing keys."`
	Rotate DKIMRotateCmd `cmd:"" help:"Make new signing keys; they sign as soon as DNS shows them."`
}

// DKIMListCmd lists the signing keys.
type DKIMListCmd struct{}

// Run implements the command.
func (DKIMListCmd) Run(ctx context.Context, g *Globals, out Out) error {
	rows := []map[string]any{}
	err := eachDomain(ctx, g, out, func(o *office.Office, domain string) error {
		keys, err := o.EnsureDKIM(ctx, domain)
		if err != nil {
			return err
		}
		for _, k := range keys.All {
			if g.JSON {
				rows = append(rows, map[string]any{"domain": domain, "selector": k.Selector, "kind": k.Kind, "state": k.State, "since": k.Since})
				continue
			}
			fmt.Fprintf(out, "%s._domainkey.%s  %s  %s since %s\n", k.Selector, domain, k.Kind, k.State, k.Since.Format(time.DateOnly))
		}
		return nil
	})
	if err != nil || !g.JSON {
		return err
	}
	return json.NewEncoder(out).Encode(rows)
}

// DKIMRotateCmd makes new signing keys.
type DKIMRotateCmd struct{}

// Run implements the command.
func (DKIMRotateCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return eachDomain(ctx, g, out, func(o *office.Office, domain string) error {
		var fresh []*mailauth.Key
		_, err := o.ChangeDKIM(ctx, domain, "made", func(keys *mailauth.Keys) (bool, error) {
			var err error
			fresh, err = keys.Generate(time.Now().UTC())
			return true, err
		})
		if err != nil {
			return err
		}
		for _, k := range fresh {
			r, err := k.Record(domain)
			if err != nil {
				return err
			}
			fmt.Fprintln(out, r.Zone())
		}
		return nil
	})
}

// eachDomain runs fn for every domain of the office.
func eachDomain(ctx context.Context, g *Globals, out Out, fn func(*office.Office, string) error) error {
	return with(ctx, g, out, func(o *office.Office) error {
		domains, err := o.People.Domains(ctx)
		if err != nil {
			return err
		}
		for _, d := range domains {
			if err := fn(o, d); err != nil {
				return err
			}
		}
		return nil
	})
}
