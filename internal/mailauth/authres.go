package mailauth

import (
	"strings"
)

// format writes our Authentication-Results field (RFC 8601 section 2.2). What
// comes from the message stands in it only where it can be nothing but a value.
func (r *Result) format(id string, p Peer) string {
	var lines []string
	add := func(method string, v Verdict, reason string, props ...string) {
		line := method + "=" + string(v)
		if reason != "" {
			line += ` reason="` + reason + `"`
		}
		for i := 0; i+1 < len(props); i += 2 {
			if value := propertyValue(props[i+1]); value != "" {
				line += " " + props[i] + "=" + value
			}
		}
		lines = append(lines, line)
	}
	if r.SPF.Helo {
		add("spf", r.SPF.Result, "", "smtp.helo", r.SPF.Domain)
	} else {
		add("spf", r.SPF.Result, "", "smtp.mailfrom", strings.Trim(p.MailFrom, "<>"))
	}
	if len(r.Signatures) == 0 {
		add("dkim", None, "")
	}
	for _, s := range r.Signatures {
		add("dkim", s.Result, s.Reason, "header.d", s.Domain, "header.s", s.Selector, "header.a", s.Algorithm)
	}
	add("dmarc", r.DMARC.Result, "", "header.from", r.DMARC.Domain, "policy.dmarc", r.DMARC.Policy)
	sealer := ""
	if r.ARC.Result == Pass {
		sealer = r.ARC.Sealers[0]
	}
	add("arc", r.ARC.Result, r.ARC.Reason, "header.d", sealer)
	return "Authentication-Results: " + id + ";\r\n\t" + strings.Join(lines, ";\r\n\t") + "\r\n"
}

// propertyValue returns a pvalue as it is or quoted; "" for what can't be one
// and for what would make a line too long.
func propertyValue(s string) string {
	if s == "" || len(s) > 400 {
		return ""
	}
	plain := true
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f {
			return ""
		}
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
		plain = plain && (letter || strings.IndexByte("-._@+", c) >= 0)
	}
	if plain {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// forged returns the Authentication-Results fields that claim to be ours.
func forged(m *mail, id string) (list []int) {
	if id == "" {
		return nil
	}
	for _, at := range m.fields["authentication-results"] {
		if claims(m.value(at), id) {
			list = append(list, at)
		}
	}
	return list
}

// claims tells whether an Authentication-Results value is under that id. Where
// the id can't be read, ours anywhere in it is enough.
func claims(value, id string) bool {
	got, ok := authservID(value)
	if ok {
		return strings.EqualFold(strings.TrimSuffix(got, "."), strings.TrimSuffix(id, "."))
	}
	return strings.Contains(strings.ToLower(value), strings.ToLower(id))
}

// authservID reads the id at the start of a value: a token or a quoted string
// after comments (RFC 8601 section 2.2).
func authservID(v string) (string, bool) {
	depth := 0
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0 && c == '\\':
			i++
		case depth > 0 || strings.IndexByte(spaces, c) >= 0:
		case c == '"':
			return quoted(v[i+1:])
		default:
			rest := v[i:]
			if end := strings.IndexAny(rest, spaces+";("); end >= 0 {
				rest = rest[:end]
			}
			return rest, rest != "" && !strings.ContainsAny(rest, `"\<>[],=)`)
		}
	}
	return "", false
}

func quoted(v string) (string, bool) {
	var out []byte
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			return string(out), true
		case '\\':
			if i++; i == len(v) {
				return "", false
			}
		}
		out = append(out, v[i])
	}
	return "", false
}

// Clean returns a message for presentation: without the Authentication-Results
// fields that claim to be ours (RFC 8601 section 5). It is raw itself where
// there are none, and a copy otherwise: raw is never changed.
func Clean(raw []byte, id string) []byte {
	m := parse(raw)
	drop := forged(m, id)
	if len(drop) == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	from := 0
	for _, at := range drop {
		f := &m.header.Fields[at]
		out = append(out, raw[from:f.Start]...)
		from = f.End
	}
	return append(out, raw[from:]...)
}
