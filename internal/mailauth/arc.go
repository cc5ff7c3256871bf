package mailauth

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Chain is what became of the ARC sets of a message (RFC 8617).
type Chain struct {
	// Result is none, pass, fail, or temperror, where a key can't be looked up now.
	Result Verdict `json:"result"`
	Reason string  `json:"reason,omitempty"`
	// Sealers are the domains that sealed, the last one first. They mean
	// something only where Result is pass.
	Sealers []string `json:"sealers,omitempty"`
	// Results is what the last sealer says that it found: the value of its
	// ARC-Authentication-Results after the instance.
	Results string `json:"results,omitempty"`
	// From says that the last sealer signed the From field: else it may be
	// another one than Results are about.
	From bool `json:"from,omitempty"`
}

// maxInstances is RFC 8617 section 4.2.1's.
const maxInstances = 50

// arcSet is one set; the numbers are indices of fields.
type arcSet struct {
	results, message, seal int
	resultsText            string
	messageTags, sealTags  tagList
}

const (
	arcResults = "arc-authentication-results"
	arcMessage = "arc-message-signature"
	arcSeal    = "arc-seal"
)

// Reasons for which a chain fails.
const (
	reasonSets     = "the sets are not complete, each once"
	reasonInstance = "an instance can't be read"
	reasonManySets = "there are too many sets"
	reasonCV       = "a seal's cv= is not what it must be"
	reasonSealer   = "a seal says that the chain had failed"
	reasonHeadSeal = "a seal names header fields"
)

// sets reads the ARC sets in order; reason is empty where they are complete.
func (m *mail) sets() (sets []arcSet, reason string) {
	n := max(len(m.fields[arcResults]), len(m.fields[arcMessage]), len(m.fields[arcSeal]))
	if n > maxInstances {
		return nil, reasonManySets
	}
	if m.headerTooLong() {
		return nil, reasonHeader
	}
	if n != len(m.fields[arcResults]) || n != len(m.fields[arcMessage]) || n != len(m.fields[arcSeal]) {
		return nil, reasonSets
	}
	sets = make([]arcSet, n)
	for i := range sets {
		sets[i] = arcSet{results: -1, message: -1, seal: -1}
	}
	for _, read := range []struct {
		name string
		into func(*arcSet, int, tagList) bool
	}{
		{arcResults, func(s *arcSet, at int, _ tagList) bool { return once(&s.results, at) }},
		{arcMessage, func(s *arcSet, at int, t tagList) bool { s.messageTags = t; return once(&s.message, at) }},
		{arcSeal, func(s *arcSet, at int, t tagList) bool { s.sealTags = t; return once(&s.seal, at) }},
	} {
		for _, at := range m.fields[read.name] {
			i, tags, ok := instance(read.name, m.value(at))
			if !ok {
				return nil, reasonInstance
			}
			if i > n || !read.into(&sets[i-1], at, tags) {
				return nil, reasonSets
			}
		}
	}
	for i := range sets {
		_, sets[i].resultsText, _ = strings.Cut(m.value(sets[i].results), ";")
	}
	return sets, ""
}

func once(at *int, value int) bool {
	first := *at < 0
	*at = value
	return first
}

// instance reads i= of an ARC field: 1 to 50. In results it comes first, and
// what follows is no tag list.
func instance(name, value string) (int, tagList, bool) {
	var tags tagList
	var err error
	if name == arcResults {
		first, _, ok := strings.Cut(value, ";")
		if !ok {
			return 0, nil, false
		}
		value = first
	}
	if tags, err = parseTags(value); err != nil {
		return 0, nil, false
	}
	i, ok := tags.number("i")
	return int(i), tags, ok && i >= 1 && i <= maxInstances
}

// validate follows RFC 8617 section 5.2.
func (m *mail) validate(ctx context.Context, from DNS, now time.Time) Chain {
	sets, reason := m.sets()
	if reason != "" {
		return Chain{Result: Fail, Reason: reason}
	}
	if len(sets) == 0 {
		return Chain{Result: None}
	}
	c := Chain{Result: Pass}
	for _, s := range slices.Backward(sets) {
		c.Sealers = append(c.Sealers, strings.ToLower(s.sealTags.compact("d")))
	}
	last := sets[len(sets)-1]
	c.Results = strings.Trim(last.resultsText, spaces)
	c.From = slices.Contains(last.messageTags.names("h"), "from")
	if last.sealTags.get("cv") == "fail" {
		return c.fail(Fail, reasonSealer)
	}
	for i, s := range sets {
		want := "pass"
		if i == 0 {
			want = "none"
		}
		if s.sealTags.get("cv") != want {
			return c.fail(Fail, reasonCV)
		}
	}
	if v, reason := m.arcMessage(ctx, from, last, now); v != Pass {
		return c.fail(v, reason)
	}
	for i := range slices.Backward(sets) {
		if v, reason := m.arcSeal(ctx, from, sets[:i+1]); v != Pass {
			return c.fail(v, reason)
		}
	}
	return c
}

func (c Chain) fail(v Verdict, reason string) Chain {
	if v != TempError {
		v = Fail
	}
	c.Result, c.Reason = v, reason
	return c
}

// arcMessage verifies an ARC-Message-Signature: a DKIM signature but for v=,
// i= and what it may sign (RFC 8617 section 4.1.2).
func (m *mail) arcMessage(ctx context.Context, from DNS, set arcSet, now time.Time) (Verdict, string) {
	s := signatureOf(set.messageTags, set.message)
	if s.read(s, set.messageTags); s.Result != "" {
		return s.Result, s.Reason
	}
	if s.Time.After(now.Add(skew)) {
		return Fail, reasonFuture
	}
	if slices.Contains(s.names, arcSeal) {
		return Fail, reasonSets
	}
	key, v, reason := fetchKey(ctx, from, s)
	if v != "" {
		return v, reason
	}
	m.check(&key, s, arcMessage)
	return s.Result, s.Reason
}

func signatureOf(tags tagList, index int) *Signature {
	return &Signature{
		Domain: strings.ToLower(tags.compact("d")), Selector: tags.compact("s"), Algorithm: tags.compact("a"),
		signature: signature{index: index},
	}
}

// arcSeal verifies the seal of the last of the sets (RFC 8617 section 5.1.1).
func (m *mail) arcSeal(ctx context.Context, from DNS, sets []arcSet) (Verdict, string) {
	last := sets[len(sets)-1]
	s := signatureOf(last.sealTags, last.seal)
	bytes, ok := last.sealTags.base64("b")
	_, timeOK := last.sealTags.time("t")
	switch {
	case !ok || !isName(s.Domain) || !isName(s.Selector):
		return Fail, reasonMissing
	case !timeOK:
		return Fail, reasonTime
	case last.sealTags.has("h") || last.sealTags.has("bh"):
		return Fail, reasonHeadSeal // section 4.1.3
	case s.Algorithm != "rsa-sha256" && s.Algorithm != "ed25519-sha256":
		return Fail, reasonAlgorithm
	}
	key, v, reason := fetchKey(ctx, from, s)
	if v != "" {
		return v, reason
	}
	data := m.sealed(sets[:len(sets)-1])
	data = relaxedField(relaxedField(data, m.field(last.results)), m.field(last.message))
	data = withoutEnd(relaxedField(data, withoutSignature(nil, m.field(last.seal))))
	if !key.verify(data, bytes) {
		return Fail, reasonSignature
	}
	return Pass, ""
}

// sealed returns complete sets as they go into a later seal.
func (m *mail) sealed(sets []arcSet) (data []byte) {
	for _, s := range sets {
		for _, at := range []int{s.results, s.message, s.seal} {
			data = relaxedField(data, m.field(at))
		}
	}
	return data
}
