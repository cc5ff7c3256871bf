package mailauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// DNS answers questions.
type DNS interface {
	// Exchange returns the answer in wire format, whether DNSSEC proved it, and
	// when it came. "No such name" is an answer, or an error that is
	// fs.ErrNotExist; any other error says that nobody can tell now.
	Exchange(ctx context.Context, name string, qtype uint16) (wire []byte, authentic bool, at time.Time, err error)
}

// Answer is one answer of DNS as it was used.
type Answer struct {
	Name string `json:"name"` // asked for, lower case, with a dot at the end
	Type string `json:"type"` // such as TXT
	// Rcode is the answer's, such as NOERROR or NXDOMAIN; empty where nobody
	// could tell.
	Rcode     string    `json:"rcode,omitempty"`
	Authentic bool      `json:"authentic,omitempty"`
	Time      time.Time `json:"time"`           // when it came, in seconds
	Wire      []byte    `json:"wire,omitempty"` // the message of RFC 1035 section 4 with id 0
}

// Bytes returns the answer's canonical form, the same for every message that
// was judged by it: what content-addressed storage keeps.
func (a Answer) Bytes() ([]byte, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("mailauth: writing an answer: %w", err)
	}
	return b, nil
}

// Evidence is every answer of DNS by which one message was judged, in the order
// of names and types. It tells with whom somebody corresponds, and a name may
// hold part of an address: treat it like the message.
type Evidence struct {
	Answers []Answer `json:"answers"`
}

// Bytes returns the canonical form: the same answers give the same bytes.
func (e Evidence) Bytes() ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("mailauth: writing evidence: %w", err)
	}
	return b, nil
}

// ID is the SHA-256 of the canonical form. It goes nowhere public unsalted:
// who guesses the answers could tell from it that he guessed right.
func (e Evidence) ID() ([sha256.Size]byte, error) {
	b, err := e.Bytes()
	return sha256.Sum256(b), err
}

// ParseEvidence reads what Bytes wrote.
func ParseEvidence(b []byte) (Evidence, error) {
	var e Evidence
	if err := json.Unmarshal(b, &e); err != nil {
		return Evidence{}, fmt.Errorf("mailauth: reading evidence: %w", err)
	}
	return e, nil
}

// Recorder asks DNS once for each name and type, and keeps what it said. It is
// safe for concurrent use, for one message.
type Recorder struct {
	dns DNS

	mu      sync.Mutex // guards answers
	answers map[question]*recorded
}

type question struct {
	name  string
	qtype uint16
}

type recorded struct {
	once   sync.Once
	answer Answer
	err    error
}

// NewRecorder returns a Recorder that asks from.
func NewRecorder(from DNS) *Recorder {
	return &Recorder{dns: from, answers: make(map[question]*recorded)}
}

// Exchange implements DNS.
func (r *Recorder) Exchange(ctx context.Context, name string, qtype uint16) ([]byte, bool, time.Time, error) {
	q := question{strings.ToLower(dns.Fqdn(name)), qtype}
	r.mu.Lock()
	a := r.answers[q]
	if a == nil {
		a = &recorded{}
		r.answers[q] = a
	}
	r.mu.Unlock()
	a.once.Do(func() { a.ask(ctx, r.dns, q) })
	return a.answer.Wire, a.answer.Authentic, a.answer.Time, a.err
}

func (a *recorded) ask(ctx context.Context, from DNS, q question) {
	wire, authentic, at, err := from.Exchange(ctx, q.name, q.qtype)
	if at.IsZero() {
		at = time.Now()
	}
	a.answer = Answer{Name: q.name, Type: dns.TypeToString[q.qtype], Time: at.UTC().Truncate(time.Second)}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.err, a.answer.Rcode = err, dns.RcodeToString[dns.RcodeNameError]
	case err != nil:
		a.err = err
	case len(wire) < 12:
		a.err = errNoAnswer
	default:
		a.answer.Rcode, a.answer.Authentic, a.answer.Wire = dns.RcodeToString[int(wire[3]&0xf)], authentic, wire
	}
}

// Evidence returns what was asked so far.
func (r *Recorder) Evidence() Evidence {
	r.mu.Lock()
	defer r.mu.Unlock()
	var e Evidence
	for _, a := range r.answers {
		a.once.Do(func() { a.err = errNoAnswer }) // waits for who is asking
		if a.answer.Name != "" {
			e.Answers = append(e.Answers, a.answer)
		}
	}
	slices.SortFunc(e.Answers, func(a, b Answer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return e
}

// errNoAnswer says that evidence holds no answer, or that none could be had.
var errNoAnswer = errors.New("mailauth: no answer")

// Replay answers from evidence alone: Judge with it, and with the time at
// which the message arrived, gives the Result of that time.
func Replay(e Evidence) DNS {
	r := replay{}
	for _, a := range e.Answers {
		r[question{a.Name, dns.StringToType[a.Type]}] = a
	}
	return r
}

type replay map[question]Answer

// Exchange implements DNS.
func (r replay) Exchange(_ context.Context, name string, qtype uint16) ([]byte, bool, time.Time, error) {
	a, ok := r[question{strings.ToLower(dns.Fqdn(name)), qtype}]
	switch {
	case !ok || a.Rcode == "":
		return nil, false, a.Time, errNoAnswer
	case a.Wire == nil:
		return nil, false, a.Time, fmt.Errorf("mailauth: no such name: %w", fs.ErrNotExist)
	}
	return a.Wire, a.Authentic, a.Time, nil
}
