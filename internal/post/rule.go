package post

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
)

// Rule is what the server answers or passes on by itself for one identity.
type Rule struct {
	Vacation Vacation `json:"vacation"`
	// Forward is an address that gets everything; empty for none.
	Forward string `json:"forward,omitempty"`
	// Suspended is where Forward led until the account was reset or recovered; it
	// does nothing.
	Suspended string `json:"suspended,omitempty"`
}

// Vacation is an answer to who writes while somebody is away (RFC 3834).
type Vacation struct {
	On      bool      `json:"on,omitempty"`
	From    time.Time `json:"from,omitzero"`  // zero: at once
	Until   time.Time `json:"until,omitzero"` // zero: until it is switched off
	Subject string    `json:"subject,omitempty"`
	Text    string    `json:"text,omitempty"`
}

// Errors of rules.
var (
	// ErrForward says that office mail is not forwarded to outside here.
	ErrForward = errors.New("this office does not let office mail be forwarded to outside")
	// ErrRule says that a rule can't be as it was given.
	ErrRule = errors.New("the rule can't be so")
)

// maxText bounds a vacation answer, in bytes.
const maxText = 16 << 10

// Rule returns the rule of an identity; one that was never set is empty.
func (p *Post) Rule(ctx context.Context, account int64, class sijill.Class) (r Rule, err error) {
	var b []byte
	err = p.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT rule FROM post_rule WHERE account = ? AND class = ?", []any{account, class}, &b)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return Rule{}, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return Rule{}, fmt.Errorf("reading a rule: %w", err)
	}
	return r, nil
}

// SetRule sets the rule of an identity. That it changed, and whether anything is
// forwarded, is put on the register; where to is sealed. Errors wrap ErrRule or
// ErrForward. Forwarding that was set while the office allowed it, and is given
// again, is taken out: the rest of the rule may be changed.
func (p *Post) SetRule(ctx context.Context, s Sender, r Rule) error {
	if r.Forward != "" && !p.mayForward(s.Class) {
		old, err := p.Rule(ctx, s.Account, s.Class)
		if err != nil {
			return err
		}
		if old.Forward == r.Forward {
			r.Forward = ""
		}
	}
	if err := p.check(s, &r); err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing a rule: %w", err)
	}
	_, err = p.o.Register.AppendAll(ctx, []record.Draft{{
		Kind: sijill.Config, Actor: s.Actor, Holders: []int64{s.Account}, Class: s.Class, Detail: r,
		Fields: map[string]any{"forward": r.Forward != "", "vacation": r.Vacation.On},
		With: func(tx *db.Tx, _ int64) error {
			_, err := tx.Exec(`INSERT INTO post_rule (account, class, rule) VALUES (?, ?, ?)
				ON CONFLICT (account, class) DO UPDATE SET rule = excluded.rule`, s.Account, s.Class, b)
			return err
		},
	}})
	if err != nil {
		return fmt.Errorf("setting a rule: %w", err)
	}
	p.mu.Lock()
	p.ruled = nil
	p.mu.Unlock()
	return nil
}

func (p *Post) check(s Sender, r *Rule) error {
	if len(r.Vacation.Text) > maxText || len(r.Vacation.Subject) > 500 || r.Vacation.On && strings.TrimSpace(r.Vacation.Text) == "" {
		return fmt.Errorf("a vacation answer needs a text of at most %d bytes: %w", maxText, ErrRule)
	}
	if r.Forward == "" {
		return nil
	}
	a, err := mail.ParseAddress(r.Forward)
	if err != nil || a.Address != r.Forward {
		return fmt.Errorf("forwarding needs an address: %w", ErrRule)
	}
	switch class, own := s.Own[message.CanonicalAddress(r.Forward)]; {
	case own && class == s.Class:
		return fmt.Errorf("that forwards to itself: %w", ErrRule)
	case !p.mayForward(s.Class):
		return ErrForward
	}
	return nil
}

// active tells whether the answer is to be given now.
func (v *Vacation) active(now time.Time) bool {
	return v.On && !now.Before(v.From) && (v.Until.IsZero() || now.Before(v.Until))
}

// rulesFor is how long it is believed who has rules.
const rulesFor = 2 * time.Second

// HasRules tells whether one of the accounts has a rule that does anything. It
// may be wrong for two seconds after one was set by another process.
func (p *Post) HasRules(accounts ...int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ruled == nil || p.o.Now().Sub(p.read) > rulesFor {
		p.reread()
	}
	for _, a := range accounts {
		if p.ruled[a] {
			return true
		}
	}
	return false
}

// reread finds out who has rules. Where that fails, what was known stays.
func (p *Post) reread() {
	ruled := map[int64]bool{}
	err := p.o.DB.Read(context.Background(), func(tx *db.Tx) error {
		return tx.Each("SELECT account, rule FROM post_rule", nil, func(row db.Row) error {
			var account int64
			var b []byte
			var r Rule
			if err := row.Scan(&account, &b); err != nil {
				return err
			}
			if err := json.Unmarshal(b, &r); err != nil {
				return err
			}
			ruled[account] = ruled[account] || r.Forward != "" || r.Vacation.On
			return nil
		})
	})
	if err != nil {
		p.o.Log.Error("the rules of accounts can't be read", "error", err)
		return
	}
	p.ruled, p.read = ruled, p.o.Now()
}
