package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"sijill/internal/people"
)

// gate lets the two people of the office in.
type gate struct {
	mu       sync.Mutex
	sessions map[string]*Viewer // Guarded by mu.
	tries    map[string]int     // Guarded by mu; wrong ones, by network.
	totp     string             // Guarded by mu; a code that is wanted of records.
	shut     bool               // Guarded by mu; new sessions have no key to personal mail.
	fresh    bool               // Guarded by mu; somebody else knows the password of new sessions.
	people   map[string]Viewer  // By name and address.
	agents   map[string]string  // Guarded by mu; by token.
	strict   bool               // Guarded by mu; who is there must be proven again,
	proven   map[string]bool    // Guarded by mu; by token.
	passkeys passkeys
}

// passkeys is what a test with an authenticator puts in.
type passkeys interface {
	begin() (Ceremony, error)
	finish(id string, answer []byte) (account int64, opens bool, err error)
}

const recoveryCode = "GLASS-RIVER-41-LANTERN"

func newGate() *gate {
	salma := Viewer{Account: 1, Name: "سلمى الحداد", Address: records, Admin: true, Office: true, Personal: true, Open: true}
	nour := Viewer{Account: 2, Name: "نورة السالم", Address: noura, Office: true}
	return &gate{
		sessions: map[string]*Viewer{}, tries: map[string]int{}, agents: map[string]string{}, proven: map[string]bool{},
		people: map[string]Viewer{records: salma, own: salma, "salma": salma, noura: nour},
	}
}

func (g *gate) SignIn(_ context.Context, name, pass, code string, c Caller) (*Viewer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.people[strings.ToLower(name)]
	if !ok || pass != password {
		if g.tries[c.From.String()]++; g.tries[c.From.String()] > 10 {
			return nil, people.ErrSlowDown{RetryAfter: 30 * time.Second}
		}
		return nil, people.ErrCredentials
	}
	if v.Account == 1 && g.totp != "" && code != g.totp {
		return nil, ErrCode
	}
	return g.begin(v, c), nil
}

// begin starts a session; mu is held.
func (g *gate) begin(v Viewer, c Caller) *Viewer {
	v.Token = rand.Text()
	v.Open, v.Fresh = v.Personal && !g.shut, g.fresh
	g.sessions[v.Token] = &v
	g.agents[v.Token] = c.Agent
	copied := v
	return &copied
}

func (g *gate) Resume(_ context.Context, token string) (*Viewer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.sessions[token]
	if !ok {
		return nil, fs.ErrNotExist
	}
	copied := *v
	return &copied, nil
}

func (g *gate) Lasts(ctx context.Context, v *Viewer) error {
	_, err := g.Resume(ctx, v.Token)
	return err
}

func (g *gate) change(token string, f func(*Viewer)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.sessions[token]; v != nil {
		f(v)
	}
}

func (g *gate) SignOut(_ context.Context, token string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, token)
	return nil
}

func (g *gate) Recover(_ context.Context, name, code, fresh string, c Caller) (*Viewer, string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.people[strings.ToLower(name)]
	if !ok || code != recoveryCode {
		return nil, "", people.ErrCredentials
	}
	if len(fresh) < 10 {
		return nil, "", ErrUnsuited
	}
	return g.begin(v, c), "FRESH-CODE-77", nil
}

func (g *gate) BeginPasskey(context.Context) (Ceremony, error) {
	if g.passkeys == nil {
		return Ceremony{ID: "none", Options: json.RawMessage(`{"publicKey":{"challenge":"AAAA"}}`)}, nil
	}
	return g.passkeys.begin()
}

func (g *gate) FinishPasskey(_ context.Context, id string, answer []byte, c Caller) (*Viewer, error) {
	if g.passkeys == nil {
		return nil, people.ErrCredentials
	}
	account, _, err := g.passkeys.finish(id, answer)
	if err != nil || account != 1 {
		return nil, fmt.Errorf("%w: %w", people.ErrCredentials, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.begin(g.people[records], c), nil
}

func (g *gate) BeginStepUp(ctx context.Context, _ *Viewer) (Ceremony, error) {
	return g.BeginPasskey(ctx)
}

func (g *gate) FinishStepUp(_ context.Context, v *Viewer, id string, answer []byte) error {
	if g.passkeys == nil {
		return ErrWrong
	}
	_, opens, err := g.passkeys.finish(id, answer)
	if err != nil || !opens {
		return ErrWrong
	}
	g.deepen(v.Token)
	return nil
}

func (g *gate) deepen(token string) {
	g.change(token, func(v *Viewer) { v.Deep, v.Open = now.Add(time.Hour), v.Personal })
}

func (g *gate) StepUpByCode(_ context.Context, v *Viewer, code string) error {
	if code != recoveryCode {
		return ErrWrong
	}
	g.deepen(v.Token)
	return nil
}

func (g *gate) unproven(v *Viewer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.strict && !g.proven[v.Token]
}

func (g *gate) Prove(_ context.Context, v *Viewer, pass string, _ Caller) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if pass != password {
		return ErrWrong
	}
	g.proven[v.Token] = true
	return nil
}

func (g *gate) StartAnew(_ context.Context, v *Viewer, _ Caller) (string, error) {
	if g.unproven(v) {
		return "", ErrProve
	}
	g.change(v.Token, func(v *Viewer) { v.Open = true })
	return "ANEW-CODE-31", nil
}
