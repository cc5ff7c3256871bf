package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
)

// State is what DNS says of a record.
type State string

// The states.
const (
	StateRight     State = "right"
	StateMissing   State = "missing"
	StateDifferent State = "different" // something else stands there
	StateUnknown   State = "unknown"   // DNS couldn't be asked
)

// Checked is a record with what DNS has in its place.
type Checked struct {
	Record
	State State
	Found []string // Values of that name and type, as in a zone file.
}

// Lookup asks DNS for the values of a name and type, as in a zone file. Nothing
// there is an error that wraps fs.ErrNotExist. It is called several times at once.
type Lookup func(ctx context.Context, name, kind string) ([]string, error)

// atOnce is how many records are asked for at once.
const atOnce = 8

// Check compares records with what DNS says. It fails only when ctx ends; what
// was not answered by then is unknown.
func Check(ctx context.Context, records []Record, ask Lookup) ([]Checked, error) {
	out := make([]Checked, len(records))
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i, r := range records {
		places <- struct{}{}
		all.Go(func() {
			out[i] = check(ctx, r, ask)
			<-places
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return out, fmt.Errorf("checking DNS: %w", ctx.Err())
	}
	return out, nil
}

func check(ctx context.Context, r Record, ask Lookup) Checked {
	c := Checked{Record: r, State: StateUnknown}
	if ctx.Err() != nil {
		return c
	}
	found, err := ask(ctx, r.Name, r.Type)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.State = StateMissing
	case err == nil:
		c.Found, c.State = compare(r, found)
	}
	switch {
	case c.State != StateMissing:
	case r.Type == "SRV" && strings.HasSuffix(r.Value, " ."):
		c.State = StateRight // Saying that there is none is a courtesy.
	case r.Type == "CNAME":
		c.Found, c.State = sameHost(ctx, r, ask)
	}
	return c
}

// sameHost tells whether a name that is no alias leads to the same addresses.
func sameHost(ctx context.Context, r Record, ask Lookup) (found []string, s State) {
	for _, kind := range []string{"A", "AAAA"} {
		there, err := ask(ctx, r.Name, kind)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, StateUnknown
		}
		wanted, err := ask(ctx, strings.TrimSuffix(r.Value, "."), kind)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, StateUnknown
		}
		found = append(found, there...)
		for _, a := range there {
			if !slices.Contains(wanted, a) {
				s = StateDifferent
			}
		}
	}
	switch {
	case len(found) == 0:
		return nil, StateMissing
	case s == StateDifferent:
		return found, s
	}
	return found, StateRight
}

// single are the purposes of which a name may have one record only: where there
// are two, others take it that there is none, or an error (RFC 7208, section 4.5;
// RFC 7489, section 6.6.3; RFC 8461, section 3.1; RFC 8460, section 3).
var single = map[Purpose]bool{PurposeSPF: true, PurposeDMARC: true, PurposeSTS: true, PurposeTLSReport: true}

// compare looks for a record among the values found. Of TXT values only those
// of the same kind count: other uses of the same name are none of ours.
func compare(r Record, found []string) ([]string, State) {
	if r.Type == "TXT" && r.Purpose != PurposeDKIM {
		found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return version(s) != version(r.Value) })
	}
	switch {
	case len(found) == 0:
		return nil, StateMissing
	case r.Type == "TXT" && single[r.Purpose] && len(found) > 1:
		return found, StateDifferent
	case slices.ContainsFunc(found, r.satisfied):
		return found, StateRight
	}
	return found, StateDifferent
}

// version is the word with which TXT values of a kind begin.
func version(txt string) string {
	word, _, _ := strings.Cut(txt, ";")
	word, _, _ = strings.Cut(strings.TrimSpace(word), " ")
	return strings.ToLower(word)
}

// tags reads "a=b; c=d", names in lower case, values without blanks.
func tags(txt string) map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(txt, ";") {
		name, value, _ := strings.Cut(part, "=")
		all[strings.ToLower(strings.TrimSpace(name))] = strings.Join(strings.Fields(value), "")
	}
	return all
}

// satisfied tells whether a value does what the record is for: another policy
// than the one proposed may be somebody's choice.
func (r Record) satisfied(value string) bool {
	plain := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }
	switch {
	case r.Purpose == PurposeSPF:
		return slices.ContainsFunc(strings.Fields(plain(value)), sends)
	case r.Purpose == PurposeDMARC:
		return tags(value)["p"] != ""
	case r.Purpose == PurposeTLSReport:
		return tags(value)["rua"] != ""
	case r.Purpose == PurposeSTS && r.Type == "TXT":
		return tags(value)["id"] == tags(r.Value)["id"]
	case r.Purpose == PurposeDKIM:
		return sameKey(tags(value), tags(r.Value))
	case r.Type == "MX":
		return last(plain(value), 1) == last(plain(r.Value), 1)
	case r.Type == "SRV":
		return last(plain(value), 2) == last(plain(r.Value), 2)
	}
	return plain(value) == plain(r.Value)
}

// sends tells whether a term of an SPF record lets anybody send.
func sends(term string) bool {
	term = strings.TrimPrefix(term, "+")
	name, _, _ := strings.Cut(term, ":")
	name, _, _ = strings.Cut(name, "/")
	return slices.Contains([]string{"mx", "a", "ip4", "ip6", "include", "exists"}, name) || strings.HasPrefix(term, "redirect=")
}

// sameKey tells whether two DKIM records have one key (RFC 6376, section 3.6.1).
func sameKey(have, want map[string]string) bool {
	kind := func(t map[string]string) string {
		if k := strings.ToLower(t["k"]); k != "" {
			return k
		}
		return "rsa"
	}
	return want["p"] != "" && have["p"] == want["p"] && kind(have) == kind(want)
}

// last is the last n fields: what comes before them is an order of preference.
func last(s string, n int) string {
	f := strings.Fields(s)
	return strings.Join(f[max(0, len(f)-n):], " ")
}
