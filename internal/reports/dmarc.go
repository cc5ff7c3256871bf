package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/htmlindex"
)

// Aggregate is a DMARC aggregate report: what one receiver saw of mail in a
// domain's name.
type Aggregate struct {
	Org    string    `json:"org"`
	Email  string    `json:"email,omitempty"`
	ID     string    `json:"id"`
	Begin  time.Time `json:"begin,omitzero"`
	End    time.Time `json:"end,omitzero"`
	Domain string    `json:"domain"` // whose policy it was
	// The policy as the receiver saw it.
	Policy          string `json:"policy,omitempty"`
	SubdomainPolicy string `json:"sp,omitempty"`
	StrictDKIM      bool   `json:"strict_dkim,omitempty"`
	StrictSPF       bool   `json:"strict_spf,omitempty"`
	Rows            []Row  `json:"rows,omitempty"`
}

// Row counts messages that were alike.
type Row struct {
	Source netip.Addr `json:"source"` // zero where it can't be read
	Count  int64      `json:"count"`
	// Disposition is none, quarantine or reject: what was done.
	Disposition string `json:"disposition"`
	// DKIM and SPF tell which of them passed in alignment.
	DKIM         bool       `json:"dkim"`
	SPF          bool       `json:"spf"`
	HeaderFrom   string     `json:"header_from,omitempty"`
	EnvelopeFrom string     `json:"envelope_from,omitempty"`
	Reasons      []string   `json:"reasons,omitempty"` // why the policy was not followed
	Signatures   []AuthDKIM `json:"signatures,omitempty"`
	Senders      []AuthSPF  `json:"senders,omitempty"`
}

// AuthDKIM is one signature as it was verified, aligned or not.
type AuthDKIM struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector,omitempty"`
	Result   string `json:"result"`
}

// AuthSPF is an SPF check, aligned or not.
type AuthSPF struct {
	Domain string `json:"domain"`
	Scope  string `json:"scope,omitempty"`
	Result string `json:"result"`
}

// Totals counts the messages of all rows: those that passed by DKIM or SPF in
// alignment, and those that didn't.
func (a *Aggregate) Totals() (passed, failed int64) {
	for _, r := range a.Rows {
		if r.DKIM || r.SPF {
			passed += r.Count
		} else {
			failed += r.Count
		}
	}
	return passed, failed
}

type xmlMetadata struct {
	Org   string `xml:"org_name"`
	Email string `xml:"email"`
	ID    string `xml:"report_id"`
	Begin string `xml:"date_range>begin"`
	End   string `xml:"date_range>end"`
}

type xmlPolicy struct {
	Domain string `xml:"domain"`
	P      string `xml:"p"`
	SP     string `xml:"sp"`
	ADKIM  string `xml:"adkim"`
	ASPF   string `xml:"aspf"`
}

type xmlRecord struct {
	Source      string `xml:"row>source_ip"`
	Count       string `xml:"row>count"`
	Disposition string `xml:"row>policy_evaluated>disposition"`
	DKIM        string `xml:"row>policy_evaluated>dkim"`
	SPF         string `xml:"row>policy_evaluated>spf"`
	Reasons     []struct {
		Type    string `xml:"type"`
		Comment string `xml:"comment"`
	} `xml:"row>policy_evaluated>reason"`
	HeaderFrom   string `xml:"identifiers>header_from"`
	EnvelopeFrom string `xml:"identifiers>envelope_from"`
	AuthDKIM     []struct {
		Domain   string `xml:"domain"`
		Selector string `xml:"selector"`
		Result   string `xml:"result"`
	} `xml:"auth_results>dkim"`
	AuthSPF []struct {
		Domain string `xml:"domain"`
		Scope  string `xml:"scope"`
		Result string `xml:"result"`
	} `xml:"auth_results>spf"`
}

// parseAggregate reads a report piece by piece, so that memory is what its rows
// need. Elements that are unknown are passed over.
func parseAggregate(b []byte) (*Aggregate, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = charsetReader
	a, inside := &Aggregate{}, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && inside {
			return a, nil
		}
		if err != nil {
			return nil, ErrBroken
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !inside {
			if start.Name.Local != "feedback" {
				return nil, ErrBroken
			}
			inside = true
			continue
		}
		if err := a.element(d, &start); err != nil {
			return nil, err
		}
	}
}

func (a *Aggregate) element(d *xml.Decoder, start *xml.StartElement) (err error) {
	switch start.Name.Local {
	case "report_metadata":
		var m xmlMetadata
		err = d.DecodeElement(&m, start)
		a.Org, a.Email, a.ID = clean(m.Org), clean(m.Email), clean(m.ID)
		a.Begin, a.End = seconds(m.Begin), seconds(m.End)
	case "policy_published":
		var p xmlPolicy
		err = d.DecodeElement(&p, start)
		a.Domain, a.Policy, a.SubdomainPolicy = word(p.Domain), word(p.P), word(p.SP)
		a.StrictDKIM, a.StrictSPF = word(p.ADKIM) == "s", word(p.ASPF) == "s"
	case "record":
		if len(a.Rows) >= MaxRows {
			return ErrTooLarge
		}
		var r xmlRecord
		err = d.DecodeElement(&r, start)
		a.Rows = append(a.Rows, r.row())
	default:
		err = d.Skip()
	}
	if err != nil {
		return ErrBroken
	}
	return nil
}

// maxInRow bounds the lists of one row.
const maxInRow = 20

func (r *xmlRecord) row() Row {
	row := Row{
		Disposition: word(r.Disposition), DKIM: word(r.DKIM) == "pass", SPF: word(r.SPF) == "pass",
		HeaderFrom: word(r.HeaderFrom), EnvelopeFrom: word(r.EnvelopeFrom), Count: number(r.Count),
	}
	if a, err := netip.ParseAddr(strings.TrimSpace(r.Source)); err == nil {
		row.Source = a.WithZone("").Unmap()
	}
	for _, v := range r.Reasons[:min(len(r.Reasons), maxInRow)] {
		row.Reasons = append(row.Reasons, strings.TrimSuffix(word(v.Type)+": "+clean(v.Comment), ": "))
	}
	for _, v := range r.AuthDKIM[:min(len(r.AuthDKIM), maxInRow)] {
		row.Signatures = append(row.Signatures, AuthDKIM{word(v.Domain), clean(v.Selector), word(v.Result)})
	}
	for _, v := range r.AuthSPF[:min(len(r.AuthSPF), maxInRow)] {
		row.Senders = append(row.Senders, AuthSPF{word(v.Domain), word(v.Scope), word(v.Result)})
	}
	return row
}

func word(s string) string { return strings.ToLower(clean(s)) }

// maxCount keeps sums from running over.
const maxCount = 1 << 40

func number(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return min(n, maxCount)
}

func seconds(s string) time.Time {
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || n <= 0 || n > 253402300799 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

func charsetReader(label string, r io.Reader) (io.Reader, error) {
	e, err := htmlindex.Get(label)
	if err != nil {
		return nil, fmt.Errorf("reports: looking up a charset: %w", err)
	}
	return e.NewDecoder().Reader(r), nil
}
