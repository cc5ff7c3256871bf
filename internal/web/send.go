package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"sijill"
)

// undoSend is how long a letter waits before it is delivered.
const undoSend = 10 * time.Second

// send sends a letter, unless something is to be asked or put right first.
func (s *site) send(w http.ResponseWriter, r *request, ids []Identity, t *typed) error {
	if len(t.bad) > 0 {
		return s.returned(w, r, ids, t, "compose.bad", t.badIn, strings.Join(t.bad, ", "))
	}
	if len(t.To)+len(t.Cc)+len(t.Bcc) == 0 {
		return s.returned(w, r, ids, t, "compose.nobody", "to")
	}
	if len(t.To)+len(t.Cc)+len(t.Bcc) > maxRecipients {
		return s.returned(w, r, ids, t, "compose.many", "to", maxRecipients)
	}
	if err := t.decide(ids, r.PostForm.Get("wall"), r.PostForm.Get("office")); err != nil {
		return err
	}
	// One after the other, so that the second of two clicks finds what the first did.
	defer s.sending.begin(r.viewer.Account)()
	mark := t.mark()
	if it, token, ok := s.deeds.sent(mark, r.viewer.Account, s.Now()); ok {
		return s.report(w, r, it, token, r.back("/"))
	}
	x, err := s.Post.Check(r.Context(), r.viewer, &t.Letter)
	if errors.Is(err, ErrStale) {
		return s.returned(w, r, ids, t, "compose.gone", "draft")
	}
	if err != nil {
		return fmt.Errorf("checking a letter: %w", err)
	}
	if x.crosses() && (x.Barred || !t.FileCopy) {
		return s.askWall(w, r, t)
	}
	sent, err := s.Post.Send(context.WithoutCancel(r.Context()), r.viewer, &t.Letter, undoSend)
	switch {
	case errors.Is(err, ErrWall):
		return s.askWall(w, r, t)
	case errors.Is(err, ErrStale):
		return s.returned(w, r, ids, t, "compose.gone", "draft")
	case errors.Is(err, ErrUnsuited):
		return s.returned(w, r, ids, t, "compose.nobody", "to")
	case err != nil:
		return fmt.Errorf("sending a letter: %w", err)
	}
	key := "sent.office"
	if t.Class == sijill.Personal {
		key = "sent.personal"
	}
	text, err := r.locale.Plain(key)
	if err != nil {
		return err
	}
	return s.done(w, r, deed{text: text, sent: sent.ID, until: sent.Until, answers: t.Answers, how: t.How, mark: mark}, r.back("/"))
}

// decide takes what was chosen at the wall.
func (t *typed) decide(ids []Identity, choice, office string) error {
	switch choice {
	case "":
	case "copy":
		t.FileCopy = true
	case "office":
		n := slices.IndexFunc(ids, func(i Identity) bool { return i.Address == office && classOf(i.Class) == sijill.Office })
		if n < 0 {
			return fmt.Errorf("sending from an address that isn't the office's: %w", errBadRequest)
		}
		t.changeFrom(ids, ids[n])
	default:
		return errBadRequest
	}
	return nil
}

// changeFrom changes the identity, and its signature where that stands as it was
// put.
func (t *typed) changeFrom(ids []Identity, to Identity) {
	was := t.signature(ids)
	t.from(to)
	if was != "" {
		t.Text = strings.Replace(t.Text, signed("", was), signed("", to.Signature), 1)
	}
}

// askWall saves the letter and shows the choice, on a page that can be reloaded.
func (s *site) askWall(w http.ResponseWriter, r *request, t *typed) error {
	if err := s.keep(r, t); err != nil {
		return err
	}
	return s.goOn(w, r, draftLink(t.Draft)+"&wall=1")
}

// returned shows a letter again with what is wrong with it. What was typed is
// saved as far as it makes a letter, and shown as it was typed.
func (s *site) returned(w http.ResponseWriter, r *request, ids []Identity, t *typed, key, field string, args ...any) error {
	if err := s.keep(r, t); err != nil {
		return err
	}
	c, err := s.composer(r, ids, &t.Letter)
	if err != nil {
		return err
	}
	c.To, c.Cc, c.Bcc, c.Back, c.ErrorFor = t.to, t.cc, t.bcc, r.back(c.Back), field
	if t.Draft >= 0 {
		if c.Files, err = s.keptOf(r, t.Draft); err != nil {
			return err
		}
		c.Saved = c.Now
	}
	if c.Error, err = r.locale.Plain(key, args...); err != nil {
		return err
	}
	return s.showComposer(w, r, http.StatusUnprocessableEntity, c)
}

// mark tells a letter from others, and is the same for one that is posted twice.
func (t *typed) mark() (m [sha256.Size]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q %q %q %q %q %q %d %q %t", t.Draft, t.From.Addr, t.to, t.cc, t.bcc, t.Subject, t.Text, t.Answers, t.How, t.FileCopy)
	for _, f := range t.Files {
		fmt.Fprintf(h, " %q %d ", f.Name, len(f.Data))
		h.Write(f.Data)
	}
	h.Sum(m[:0])
	return m
}

// turns let the requests of an account do something one after the other.
type turns struct {
	mu sync.Mutex
	of map[int64]*sync.Mutex // Guarded by mu; by account.
}

// begin waits until it's the request's turn; end must be called when it's over.
func (t *turns) begin(account int64) (end func()) {
	t.mu.Lock()
	if t.of == nil {
		t.of = map[int64]*sync.Mutex{}
	}
	m := t.of[account]
	if m == nil {
		m = &sync.Mutex{}
		t.of[account] = m
	}
	t.mu.Unlock()
	m.Lock()
	return m.Unlock
}
