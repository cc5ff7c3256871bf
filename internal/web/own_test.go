package web

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"sijill"
)

// ownSettings are the settings of the office's people.
type ownSettings struct {
	gate  *gate
	store *store

	mu         sync.Mutex
	vacations  map[sijill.Class]Vacation // Guarded by mu, as are all below.
	forwards   map[sijill.Class]Forwarding
	apps       []AppPassword
	keys       []Passkey
	recovery   time.Time
	identities []Identity
	password   string
	totp       bool
	register   registrar
	stale      bool
}

// registrar is what a test with an authenticator puts in.
type registrar interface {
	beginRegister() (Ceremony, error)
	finishRegister(id string, answer []byte) (opens bool, next *Ceremony, err error)
	finishOpening(id string, answer []byte) (opens bool, err error)
}

func newOwnSettings(g *gate, s *store) *ownSettings {
	return &ownSettings{
		gate: g, store: s, password: password, recovery: now.Add(-100 * 24 * time.Hour),
		vacations: map[sijill.Class]Vacation{}, forwards: map[sijill.Class]Forwarding{},
		apps: []AppPassword{{ID: "a1", Label: "Thunderbird على الحاسوب", Office: true, Personal: true, Created: now.Add(-800 * time.Hour), Used: now.Add(-2 * time.Hour), UsedFrom: "192.0.2.0/24"},
			{ID: "a2", Label: "iPhone", Office: true, Created: now.Add(-80 * time.Hour)}},
	}
}

func (s *ownSettings) SetIdentity(_ context.Context, _ *Viewer, i Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identities = append(s.identities, i)
	return nil
}

func (s *ownSettings) SetPreferences(_ context.Context, v *Viewer, language, digits string) error {
	s.gate.change(v.Token, func(v *Viewer) { v.Language, v.Digits = language, digits })
	return nil
}

func (s *ownSettings) Credentials(context.Context, *Viewer) (Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Credentials{Passkeys: slices.Clone(s.keys), TOTP: s.totp, Recovery: s.recovery}, nil
}

func (s *ownSettings) ChangePassword(_ context.Context, v *Viewer, old, fresh string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old != s.password {
		return "", ErrWrong
	}
	if len(fresh) < 10 {
		return "", ErrUnsuited
	}
	s.password = fresh
	s.gate.change(v.Token, func(v *Viewer) { v.Fresh = false })
	if s.stale { // It was somebody else's choice.
		return "AFTER-CHANGE-12", nil
	}
	return "", nil
}

func (s *ownSettings) BeginRegister(ctx context.Context, _ *Viewer) (Ceremony, error) {
	if s.register == nil {
		return s.gate.BeginPasskey(ctx)
	}
	return s.register.beginRegister()
}

func (s *ownSettings) add(name string, opens bool) Passkey {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := Passkey{ID: fmt.Sprint("k", len(s.keys)), Name: name, Opens: opens, Created: now}
	s.keys = append(s.keys, k)
	return k
}

func (s *ownSettings) FinishRegister(_ context.Context, _ *Viewer, id, name string, answer []byte) (Passkey, *Ceremony, error) {
	if s.register == nil {
		return Passkey{}, nil, ErrWrong
	}
	opens, next, err := s.register.finishRegister(id, answer)
	if err != nil {
		return Passkey{}, nil, fmt.Errorf("%w: %w", ErrWrong, err)
	}
	return s.add(name, opens), next, nil
}

func (s *ownSettings) FinishOpening(_ context.Context, _ *Viewer, id string, answer []byte) (Passkey, error) {
	opens, err := s.register.finishOpening(id, answer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || len(s.keys) == 0 {
		return Passkey{}, ErrWrong
	}
	s.keys[len(s.keys)-1].Opens = opens
	return s.keys[len(s.keys)-1], nil
}

func (s *ownSettings) RenamePasskey(_ context.Context, _ *Viewer, id, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range s.keys {
		if k.ID == id {
			s.keys[i].Name = name
			return nil
		}
	}
	return fs.ErrNotExist
}

func (s *ownSettings) RemovePasskey(_ context.Context, _ *Viewer, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.DeleteFunc(s.keys, func(k Passkey) bool { return k.ID == id })
	return nil
}

func (s *ownSettings) BeginTOTP(context.Context, *Viewer) (TOTP, error) {
	return TOTP{Secret: "JBSWY3DPEHPK3PXP", URI: "otpauth://totp/Sijill:salma?secret=JBSWY3DPEHPK3PXP&issuer=Sijill"}, nil
}

func (s *ownSettings) ConfirmTOTP(_ context.Context, _ *Viewer, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code != "123456" {
		return ErrWrong
	}
	s.totp = true
	return nil
}

func (s *ownSettings) RemoveTOTP(_ context.Context, _ *Viewer, code string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code != "123456" {
		return ErrWrong
	}
	s.totp = false
	return nil
}

func (s *ownSettings) NewRecovery(_ context.Context, v *Viewer) (string, error) {
	if !v.Open {
		return "", ErrClosed
	}
	return "MARBLE-WHEAT-93-HARBOUR-17-CEDAR", nil
}

func (s *ownSettings) AppPasswords(context.Context, *Viewer) ([]AppPassword, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.apps), nil
}

func (s *ownSettings) MakeAppPassword(_ context.Context, v *Viewer, label string, office, personal bool) (NewAppPassword, error) {
	if s.gate.unproven(v) {
		return NewAppPassword{}, ErrProve
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := AppPassword{ID: fmt.Sprint("a", len(s.apps)+1), Label: label, Office: office, Personal: personal, Created: now}
	s.apps = append(s.apps, a)
	return NewAppPassword{AppPassword: a, Password: "kmtq-rvba-xwen-jdos", Name: "salma",
		IMAP: Server{"mail.diwan.example", 993, "SSL/TLS"}, Submission: Server{"mail.diwan.example", 465, "SSL/TLS"}}, nil
}

func (s *ownSettings) RevokeAppPassword(_ context.Context, _ *Viewer, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = slices.DeleteFunc(s.apps, func(a AppPassword) bool { return a.ID == id })
	return nil
}

func (s *ownSettings) Sessions(_ context.Context, v *Viewer) (out []SessionInfo, _ error) {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	for token, other := range s.gate.sessions {
		if other.Account == v.Account {
			out = append(out, SessionInfo{ID: token[:8], Agent: s.gate.agents[token], From: "192.0.2.7", Started: now.Add(-3 * time.Hour), Used: now, Current: token == v.Token})
		}
	}
	return out, nil
}

func (s *ownSettings) EndSession(_ context.Context, v *Viewer, id string) error {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	for token, other := range s.gate.sessions {
		if other.Account == v.Account && strings.HasPrefix(token, id) {
			delete(s.gate.sessions, token)
		}
	}
	return nil
}

func (s *ownSettings) Vacation(_ context.Context, _ *Viewer, c sijill.Class) (Vacation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.vacations[c]
	v.Class = c
	return v, nil
}

func (s *ownSettings) SetVacation(_ context.Context, _ *Viewer, v Vacation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vacations[v.Class] = v
	return nil
}

func (s *ownSettings) Forwarding(_ context.Context, _ *Viewer, c sijill.Class) (Forwarding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.forwards[c]
	f.Class, f.May = c, c == sijill.Personal
	return f, nil
}

func (s *ownSettings) SetForwarding(_ context.Context, _ *Viewer, f Forwarding) error {
	if f.Class == sijill.Office && f.To != "" {
		return ErrForbidden
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forwards[f.Class] = f
	return nil
}
