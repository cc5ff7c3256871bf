package reports

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// TLS is an SMTP TLS report: how one sender's connections to us went.
type TLS struct {
	Org      string    `json:"org"`
	Contact  string    `json:"contact,omitempty"`
	ID       string    `json:"id"`
	Begin    time.Time `json:"begin,omitzero"`
	End      time.Time `json:"end,omitzero"`
	Policies []TLSRow  `json:"policies,omitempty"`
}

// TLSRow counts the sessions under one policy.
type TLSRow struct {
	// Type is tlsa, sts or no-policy-found.
	Type      string       `json:"type"`
	Domain    string       `json:"domain"`
	Succeeded int64        `json:"succeeded"`
	Failed    int64        `json:"failed"`
	Failures  []TLSFailure `json:"failures,omitempty"`
}

// TLSFailure counts sessions that failed alike.
type TLSFailure struct {
	// Type is one of RFC 8460 section 4.3, such as certificate-expired.
	Type   string     `json:"type"`
	Sender netip.Addr `json:"sender,omitzero"`
	Host   string     `json:"host,omitempty"` // our MX
	Count  int64      `json:"count"`
	Detail string     `json:"detail,omitempty"` // reason code and further information
}

type jsonTLS struct {
	Org     string `json:"organization-name"`
	Contact string `json:"contact-info"`
	ID      string `json:"report-id"`
	Range   struct {
		Begin string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	} `json:"date-range"`
	Policies []struct {
		Policy struct {
			Type   string `json:"policy-type"`
			Domain string `json:"policy-domain"`
		} `json:"policy"`
		Summary struct {
			Succeeded count `json:"total-successful-session-count"`
			Failed    count `json:"total-failure-session-count"`
		} `json:"summary"`
		Failures []jsonFailure `json:"failure-details"`
	} `json:"policies"`
}

type jsonFailure struct {
	Type   string `json:"result-type"`
	Sender string `json:"sending-mta-ip"`
	Host   string `json:"receiving-mx-hostname"`
	Count  count  `json:"failed-session-count"`
	Reason string `json:"failure-reason-code"`
	More   string `json:"additional-information"`
}

// count is a number, which some write as a string.
type count int64

// UnmarshalJSON implements json.Unmarshaler.
func (c *count) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseFloat(strings.Trim(string(b), `" `), 64)
	if err == nil && n > 0 {
		*c = count(min(n, maxCount))
	}
	return nil // what is no number counts nothing
}

func parseTLS(b []byte) (*TLS, error) {
	var j jsonTLS
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, ErrBroken
	}
	t := &TLS{Org: clean(j.Org), Contact: clean(j.Contact), ID: clean(j.ID), Begin: date(j.Range.Begin), End: date(j.Range.End)}
	rows := 0
	for _, p := range j.Policies {
		if rows += 1 + len(p.Failures); rows > MaxRows {
			return nil, ErrTooLarge
		}
		row := TLSRow{Type: word(p.Policy.Type), Domain: word(p.Policy.Domain), Succeeded: int64(p.Summary.Succeeded), Failed: int64(p.Summary.Failed)}
		for _, f := range p.Failures {
			row.Failures = append(row.Failures, f.row())
		}
		t.Policies = append(t.Policies, row)
	}
	return t, nil
}

func (f *jsonFailure) row() TLSFailure {
	r := TLSFailure{Type: word(f.Type), Host: word(f.Host), Count: int64(f.Count), Detail: clean(f.Reason + " " + f.More)}
	if a, err := netip.ParseAddr(strings.TrimSpace(f.Sender)); err == nil {
		r.Sender = a.WithZone("").Unmap()
	}
	return r
}

func date(s string) time.Time {
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(s))
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
