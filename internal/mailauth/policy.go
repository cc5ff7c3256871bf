package mailauth

import (
	"slices"
	"strings"
)

// Disposition is what to do with a message.
type Disposition string

// The dispositions.
const (
	Accept     Disposition = "accept"
	Quarantine Disposition = "quarantine" // deliver it where it is plainly marked, such as Junk
	Reject     Disposition = "reject"     // refuse it in the SMTP dialogue
)

// Reason is why, in a word that stays the same.
type Reason string

// The reasons.
const (
	ReasonPass       Reason = "dmarc-pass"       // the author's domain answers for it
	ReasonNoPolicy   Reason = "dmarc-none"       // the domain asks for nothing
	ReasonReject     Reason = "dmarc-reject"     // the domain asks to reject
	ReasonQuarantine Reason = "dmarc-quarantine" // the domain asks to quarantine
	ReasonUndecided  Reason = "dmarc-undecided"  // DNS couldn't tell
	ReasonTesting    Reason = "dmarc-testing"    // the policy is only tried out: one step milder
	ReasonNoAuthor   Reason = "no-author"        // no From, or without a domain
	ReasonFroms      Reason = "more-than-one-from"
	ReasonARC        Reason = "arc-trusted"         // a trusted sealer says that it passed there
	ReasonAllowed    Reason = "allowed-locally"     // Overrides.Accept
	ReasonMilder     Reason = "quarantined-locally" // Overrides.NeverReject
)

// Overrides are the office's own rules. Domains count with those below them.
type Overrides struct {
	// TrustedSealers are domains whose ARC seal is believed: mail that passed
	// DMARC when it reached them is accepted though it fails here.
	TrustedSealers []string
	// Accept are authors' domains whose mail is accepted though DMARC fails.
	Accept []string
	// NeverReject quarantines where a domain asks to reject.
	NeverReject bool
}

// Disposition says what to do, following the author's domain's wish but for
// the overrides. More than one From is refused whatever they say.
func (r *Result) Disposition(o Overrides) (Disposition, Reason) {
	if r.Froms > 1 {
		return Reject, ReasonFroms
	}
	d, why := r.wish()
	switch {
	case d == Accept:
	case why != ReasonNoAuthor && contains(o.Accept, r.DMARC.Domain):
		return Accept, ReasonAllowed
	case why != ReasonNoAuthor && r.vouched(o.TrustedSealers):
		return Accept, ReasonARC
	case d == Reject && o.NeverReject:
		return Quarantine, ReasonMilder
	}
	return d, why
}

// wish is what the author's domain asks for.
func (r *Result) wish() (Disposition, Reason) {
	policy := r.DMARC.Policy
	switch r.DMARC.Result {
	case Pass:
		return Accept, ReasonPass
	case PermError:
		return Quarantine, ReasonNoAuthor
	case TempError:
		if policy == "reject" || policy == "quarantine" {
			return Quarantine, ReasonUndecided
		}
		return Accept, ReasonUndecided
	case Fail:
	default:
		return Accept, ReasonNoPolicy
	}
	switch {
	case policy == "reject" && r.DMARC.Testing: // RFC 9989 section 4.7, t=
		return Quarantine, ReasonTesting
	case policy == "quarantine" && r.DMARC.Testing:
		return Accept, ReasonTesting
	case policy == "reject":
		return Reject, ReasonReject
	case policy == "quarantine":
		return Quarantine, ReasonQuarantine
	}
	return Accept, ReasonNoPolicy
}

// vouched tells whether the chain is whole, its last sealer is trusted, and
// that one says that DMARC passed there.
func (r *Result) vouched(trusted []string) bool {
	if r.ARC.Result != Pass || !r.ARC.From || len(r.ARC.Sealers) == 0 || !contains(trusted, r.ARC.Sealers[0]) {
		return false
	}
	for result := range strings.SplitSeq(dropComments(r.ARC.Results), ";") {
		first, _, _ := strings.Cut(strings.Trim(result, spaces), " ")
		if strings.EqualFold(strings.Trim(first, spaces), "dmarc=pass") {
			return true
		}
	}
	return false
}

// dropComments leaves out comments and puts single spaces for folds. What is
// within quotes stays, but for semicolons, which end results.
func dropComments(s string) string {
	out := make([]byte, 0, len(s))
	depth, inQuotes := 0, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			i++
			continue
		case c == '"' && depth == 0:
			inQuotes = !inQuotes
		case inQuotes && c == ';':
			continue
		case c == '(' && !inQuotes:
			depth++
		case c == ')' && depth > 0:
			depth--
			continue
		case strings.IndexByte(spaces, c) >= 0:
			c = ' '
		}
		if depth == 0 {
			out = append(out, c)
		}
	}
	return string(out)
}

// contains tells whether the domain or one above it is in the list.
func contains(list []string, domain string) bool {
	return domain != "" && slices.ContainsFunc(list, func(d string) bool {
		d = toASCII(d)
		return d == domain || d != "" && strings.HasSuffix(domain, "."+d)
	})
}
