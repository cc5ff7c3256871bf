package mailauth

import (
	"errors"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// errSPF says that a record breaks the grammar of RFC 7208 section 12: a
// permerror, wherever in it the error stands (section 4.6).
var errSPF = errors.New("mailauth: the SPF record is broken")

// spfTerm is a mechanism.
type spfTerm struct {
	result    Verdict // of its qualifier
	name      string  // all, include, a, mx, ptr, ip4, ip6 or exists
	domain    macros  // nil where the current domain is meant
	net       netip.Prefix
	four, six int // prefix lengths of a and mx
}

// spfRecord is a record read.
type spfRecord struct {
	terms    []spfTerm
	redirect macros // nil where there is none
}

var qualifiers = map[byte]Verdict{'+': Pass, '-': Fail, '~': SoftFail, '?': Neutral}

var modifier = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9._-]*)=(.*)$`)

// isSPF tells whether a text is an SPF record of the version that exists.
func isSPF(txt string) bool {
	return len(txt) >= 6 && strings.EqualFold(txt[:6], "v=spf1") && (len(txt) == 6 || txt[6] == ' ')
}

// parseSPF reads a record that isSPF.
func parseSPF(txt string) (*spfRecord, error) {
	for i := range len(txt) {
		if txt[i] < ' ' || txt[i] >= 0x7f {
			return nil, errSPF
		}
	}
	r := &spfRecord{}
	explained := false
	for _, word := range strings.Fields(txt[6:]) {
		if m := modifier.FindStringSubmatch(word); m != nil {
			if err := r.modifier(strings.ToLower(m[1]), m[2], &explained); err != nil {
				return nil, err
			}
			continue
		}
		term := spfTerm{result: Pass, four: 32, six: 128}
		if v, ok := qualifiers[word[0]]; ok {
			term.result, word = v, word[1:]
		}
		if err := term.parse(word); err != nil {
			return nil, err
		}
		r.terms = append(r.terms, term)
	}
	return r, nil
}

// modifier reads name=value; each of the known ones may stand once (section 6).
func (r *spfRecord) modifier(name, value string, explained *bool) error {
	switch name {
	case "redirect", "exp":
		target, err := parseDomainSpec(value)
		if err != nil || name == "redirect" && r.redirect != nil || name == "exp" && *explained {
			return errSPF
		}
		if name == "redirect" {
			r.redirect = target
		} else {
			*explained = true // what it explains is not fetched: we pass no stranger's words on
		}
		return nil
	}
	_, err := parseMacros(value)
	return err
}

func (t *spfTerm) parse(word string) error {
	end := strings.IndexAny(word, ":/")
	if end < 0 {
		end = len(word)
	}
	t.name = strings.ToLower(word[:end])
	arg := word[end:]
	switch t.name {
	case "all":
		return broken(arg != "")
	case "include", "exists":
		return t.setDomain(arg, true)
	case "ptr":
		return t.setDomain(arg, false)
	case "a", "mx":
		return t.setHosts(arg)
	case "ip4", "ip6":
		return t.setNet(arg)
	}
	return errSPF
}

func broken(is bool) error {
	if is {
		return errSPF
	}
	return nil
}

func (t *spfTerm) setDomain(arg string, must bool) error {
	if arg == "" {
		return broken(must)
	}
	spec, ok := strings.CutPrefix(arg, ":")
	if !ok {
		return errSPF
	}
	var err error
	t.domain, err = parseDomainSpec(spec)
	return err
}

// cidrs are the lengths after a domain (section 12, dual-cidr-length).
var cidrs = regexp.MustCompile(`^(.*?)(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?$`)

func (t *spfTerm) setHosts(arg string) error {
	m := cidrs.FindStringSubmatch(arg)
	for i, length := range []*int{&t.four, &t.six} {
		if m[i+2] != "" {
			n, err := strconv.Atoi(m[i+2])
			if err != nil || n > *length {
				return errSPF
			}
			*length = n
		}
	}
	return t.setDomain(m[1], false)
}

func (t *spfTerm) setNet(arg string) error {
	spec, ok := strings.CutPrefix(arg, ":")
	address, length, slash := strings.Cut(spec, "/")
	ip, err := netip.ParseAddr(address)
	if !ok || err != nil || ip.Zone() != "" || (t.name == "ip4") != ip.Is4() {
		return errSPF
	}
	bits := ip.BitLen()
	if slash {
		n, err := strconv.Atoi(length)
		if err != nil || n > bits || length != strconv.Itoa(n) || n < 0 {
			return errSPF
		}
		bits = n
	}
	t.net = netip.PrefixFrom(ip, bits)
	return nil
}

// macros is a macro string (section 7.1): literals and macros by turns.
type macros []macro

type macro struct {
	literal    string // where letter is 0
	letter     byte   // lower case
	digits     int    // 0: all parts
	reverse    bool
	escape     bool
	delimiters string
}

var macroSpec = regexp.MustCompile(`^([slodiphvSLODIPHV])([0-9]*)([rR]?)([-.+,/_=]*)$`)

// parseMacros reads a macro string. The letters c, r and t are for
// explanations only (section 7.2).
func parseMacros(s string) (macros, error) {
	list := macros{}
	for s != "" {
		at := strings.IndexByte(s, '%')
		if at != 0 {
			if at < 0 {
				at = len(s)
			}
			list = append(list, macro{literal: s[:at]})
			s = s[at:]
			continue
		}
		m, rest, err := parseMacro(s)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
		s = rest
	}
	return list, nil
}

// parseMacro reads what begins with %.
func parseMacro(s string) (m macro, rest string, err error) {
	switch {
	case strings.HasPrefix(s, "%%"):
		return macro{literal: "%"}, s[2:], nil
	case strings.HasPrefix(s, "%_"):
		return macro{literal: " "}, s[2:], nil
	case strings.HasPrefix(s, "%-"):
		return macro{literal: "%20"}, s[2:], nil
	}
	body, ok := strings.CutPrefix(s, "%{")
	body, rest, closed := strings.Cut(body, "}")
	parts := macroSpec.FindStringSubmatch(body)
	if !ok || !closed || parts == nil {
		return m, "", errSPF
	}
	letter := parts[1][0]
	m = macro{letter: letter | 0x20, escape: letter < 'a', reverse: parts[3] != "", delimiters: parts[4]}
	if m.delimiters == "" {
		m.delimiters = "."
	}
	if parts[2] != "" {
		if m.digits, err = strconv.Atoi(parts[2]); err != nil || m.digits == 0 {
			return m, "", errSPF
		}
	}
	return m, rest, nil
}

var topLabel = regexp.MustCompile(`\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?$`)

// parseDomainSpec reads a macro string that ends with a top label or a macro
// (section 7.1, domain-spec).
func parseDomainSpec(s string) (macros, error) {
	list, err := parseMacros(s)
	if err != nil || len(list) == 0 {
		return nil, errSPF
	}
	last := list[len(list)-1]
	escaped := strings.HasSuffix(s, "%%") || strings.HasSuffix(s, "%_") || strings.HasSuffix(s, "%-")
	if last.letter == 0 && (escaped || !topLabel.MatchString(last.literal)) {
		return nil, errSPF
	}
	return list, nil
}
