package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"sijill/internal/view"
)

// deedLife is how long what was done can be undone. The script hides the offer
// sooner; without a script it stands as long as the page does.
const deedLife = 10 * time.Minute

// maxDeeds is how many are remembered; the oldest are forgotten first.
const maxDeeds = 5000

// deed is something that was done, with what undoes it.
type deed struct {
	account int64
	at      time.Time
	text    string
	moves   []transfer // Where messages lie now, and where they came from.
	sent    string     // A letter on its way.
	until   time.Time  // When that leaves.
	answers int64      // What that letter answers, and how.
	how     string
	mark    [sha256.Size]byte // Of that letter; see typed.mark.
}

type transfer struct {
	from, to int64 // Folders.
	uids     []int64
}

// deeds are what was lately done, by a token that the page of it shows. They are
// in memory only: losing them loses the offer to undo, and nothing else. A letter
// waits in the queue, on disk, and leaves when its time has come.
type deeds struct {
	mu    sync.Mutex
	all   map[string]deed // Guarded by mu.
	order []string        // Guarded by mu; oldest first.
}

func (d *deeds) put(it deed) string {
	token := rand.Text()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]deed{}
	}
	for len(d.order) > 0 && (len(d.order) >= maxDeeds || it.at.Sub(d.all[d.order[0]].at) > deedLife) {
		delete(d.all, d.order[0])
		d.order = d.order[1:]
	}
	d.all[token] = it
	d.order = append(d.order, token)
	return token
}

// get gives a deed of the account's; once takes away what undoes it.
func (d *deeds) get(token string, account int64, now time.Time, once bool) (deed, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	it, ok := d.all[token]
	if !ok || it.account != account || now.Sub(it.at) > deedLife {
		return deed{}, false
	}
	if once {
		left := it
		left.moves, left.sent = nil, ""
		d.all[token] = left
	}
	return it, true
}

// sent gives the deed of a letter that was sent within undoSend and not taken back.
func (d *deeds) sent(mark [sha256.Size]byte, account int64, now time.Time) (it deed, token string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, token := range slices.Backward(d.order) {
		it := d.all[token]
		if now.Sub(it.at) > undoSend {
			break
		}
		if it.account == account && it.sent != "" && it.mark == mark {
			return it, token, true
		}
	}
	return deed{}, "", false
}

// did remembers a deed and gives its token.
func (s *site) did(r *request, it deed) string {
	it.account, it.at = r.viewer.Account, s.Now()
	return s.deeds.put(it)
}

// toast is what the deed named by ?did= says.
func (s *site) toast(r *request) *view.Toast {
	token := r.URL.Query().Get("did")
	if token == "" {
		return nil
	}
	it, ok := s.deeds.get(token, r.viewer.Account, s.Now(), false)
	if !ok {
		return nil
	}
	return it.toast(token)
}

func (it deed) toast(token string) *view.Toast {
	t := &view.Toast{Text: it.text, Undo: "/undo", Did: token}
	if len(it.moves) > 0 || it.sent != "" {
		t.Token = token
	}
	return t
}

// done answers a form that did something: a script gets the toast, others are
// sent to the page they came from, which shows it.
func (s *site) done(w http.ResponseWriter, r *request, it deed, back string) error {
	return s.report(w, r, it, s.did(r, it), back)
}

// report answers as done does, of a deed that is remembered already.
func (s *site) report(w http.ResponseWriter, r *request, it deed, token, back string) error {
	if !r.partial() {
		http.Redirect(w, r.Request, withDeed(back, token), http.StatusSeeOther)
		return nil
	}
	f := s.frame(r, "")
	f.Toast, f.Here = it.toast(token), back
	body, err := s.views.Fragment("folders", "toast", f)
	if err != nil {
		return err
	}
	s.html(w, http.StatusOK, body)
	return nil
}

// withDeed adds a deed to the address of a page of ours.
func withDeed(path, token string) string {
	u, err := url.Parse(path)
	if err != nil {
		return "/"
	}
	q := u.Query()
	q.Del("did")
	if token != "" {
		q.Set("did", token)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// undo undoes a deed: messages go back to where they were, a letter becomes a
// draft again.
func (s *site) undo(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	back := r.back("/")
	it, ok := s.deeds.get(form.Get("undo"), r.viewer.Account, s.Now(), true)
	if !ok || len(it.moves) == 0 && it.sent == "" {
		return s.said(w, r, "undo.late", back)
	}
	if it.sent != "" {
		return s.unsend(w, r, it, back)
	}
	for _, m := range it.moves {
		if _, err := s.Mailbox.Move(r.Context(), r.viewer, m.from, m.uids, m.to); err != nil {
			return fmt.Errorf("moving messages back: %w", err)
		}
	}
	return s.said(w, r, "undo.done", back)
}

// unsend takes a letter back and opens it as a draft, which answers what the
// letter answered. The draft is made first: a letter that can't be kept as one, or
// a server that dies in between, must leave it on its way.
func (s *site) unsend(w http.ResponseWriter, r *request, it deed, back string) error {
	if !s.Now().Before(it.until) {
		return s.said(w, r, "undo.sent", back)
	}
	// Nor may it be left halfway because the person left meanwhile.
	ctx := context.WithoutCancel(r.Context())
	l, err := s.Post.Written(ctx, r.viewer, it.sent)
	if err != nil {
		return fmt.Errorf("reading a letter to take it back: %w", err)
	}
	l.Draft, l.Answers, l.How = -1, it.answers, it.how
	entry, err := s.Post.SaveDraft(ctx, r.viewer, -1, l)
	if err != nil {
		return fmt.Errorf("saving a letter that is taken back: %w", err)
	}
	if err = s.Post.Undo(ctx, r.viewer, it.sent); err == nil {
		return s.goOn(w, r, draftLink(entry))
	}
	err = errors.Join(err, s.Post.DropDraft(ctx, r.viewer, entry))
	if errors.Is(err, ErrLate) {
		return s.said(w, r, "undo.sent", back)
	}
	return fmt.Errorf("taking a letter back: %w", err)
}

// said answers with a plain word on what was done.
func (s *site) said(w http.ResponseWriter, r *request, key, back string, args ...any) error {
	text, err := r.locale.Plain(key, args...)
	if err != nil {
		return err
	}
	return s.done(w, r, deed{text: text}, back)
}

// goOn leads to another page, for a script too.
func (s *site) goOn(w http.ResponseWriter, r *request, to string) error {
	if r.partial() {
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r.Request, to, http.StatusSeeOther)
	return nil
}

// plainText takes the controls of direction off a text that they were put into.
func plainText(s string) string { return strings.NewReplacer("\u2068", "", "\u2069", "").Replace(s) }
