package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"sijill"
	"sijill/internal/view"
)

// registerPage is the page on the register itself; Verifier the page on which a
// browser checks a proof.
type (
	registerPage struct {
		view.Frame
		Origin, Root, Signed string
		Size                 int64
		Keys                 []registerKey
	}
	// Verifier is exported for its template.
	Verifier struct {
		view.Frame
		Entry   int64  // -1 when files are to be chosen.
		Keys    string // vkeys, one a line.
		Back    string
		Subject string
		Steps   []string // Names, in order; the catalog explains them.
		Said    map[string]string
	}
	registerKey struct{ Kind, Text string }
)

// register tells what the register is and how to check it. It is for anyone.
func (s *site) register(w http.ResponseWriter, r *request) error {
	f, _, err := s.framed(r, "register", 0)
	if err != nil {
		return err
	}
	p := registerPage{Frame: f}
	if p.Title, err = r.locale.Plain("nav.register"); err != nil {
		return err
	}
	signed, err := s.Records.Checkpoint(r.Context())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the checkpoint: %w", err)
	}
	if err == nil {
		text, _, _ := strings.Cut(string(signed), "\n\n")
		c, err := sijill.ParseCheckpoint(text + "\n")
		if err != nil {
			return fmt.Errorf("reading the checkpoint: %w", err)
		}
		p.Origin, p.Size, p.Root, p.Signed = c.Origin, c.Size, c.Root.String(), string(signed)
	}
	for _, k := range strings.Fields(s.Records.Key()) {
		p.Keys = append(p.Keys, registerKey{keyKind(k), k})
	}
	return s.render(w, http.StatusOK, "register", p)
}

// keyKind names the algorithm of a vkey (C2SP signed-note, signature types).
func keyKind(vkey string) string {
	_, rest, _ := strings.Cut(vkey, "+")
	_, text, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) == 0 {
		return ""
	}
	return sijill.Algorithm(key[0]).String()
}

// verifySteps are what the browser does, in order.
var verifySteps = []string{"proof", "units", "commitment", "envelope", "leaf", "inclusion", "origin", "signature"}

// verify is the page on which the browser checks a message of the account.
func (s *site) verify(w http.ResponseWriter, r *request) error {
	entry, err := r.entry()
	if err != nil {
		return err
	}
	row, err := s.Mailbox.Get(r.Context(), r.viewer, entry)
	if err != nil {
		return fmt.Errorf("finding a message: %w", err)
	}
	return s.showVerifier(w, r, Verifier{Entry: entry, Subject: row.Subject, Back: "/m/" + strconv.FormatInt(entry, 10)})
}

// verifyFiles is the same for files that a stranger was given.
func (s *site) verifyFiles(w http.ResponseWriter, r *request) error {
	return s.showVerifier(w, r, Verifier{Entry: -1})
}

func (s *site) showVerifier(w http.ResponseWriter, r *request, v Verifier) error {
	f, _, err := s.framed(r, "verify", 0)
	if err != nil {
		return err
	}
	v.Frame, v.Keys, v.Steps = f, s.Records.Key(), verifySteps
	if v.Title, err = r.locale.Plain("verify.title"); err != nil {
		return err
	}
	v.Scripts = []string{"verify.js", "verify-page.js"}
	v.Said = map[string]string{}
	for _, name := range saidByScript {
		if v.Said[name], err = r.locale.Pattern("verify." + name); err != nil {
			return err
		}
	}
	return s.render(w, http.StatusOK, "verify", v)
}

// saidByScript are the phrases that the script on the page fills in.
var saidByScript = []string{
	"done.proof", "done.units", "done.commitment", "done.envelope", "done.leaf", "done.inclusion", "done.origin", "done.signature",
	"failed.proof", "failed.units", "failed.commitment", "failed.envelope", "failed.leaf", "failed.inclusion", "failed.origin", "failed.signature",
	"skipped.units", "skipped.commitment", "skipped.envelope", "skipped.signature", "skipped.after", "withheld", "fetch",
	"genuine", "genuine.text", "partly", "partly.text", "entry", "entry.text", "unsigned", "unsigned.text", "altered", "altered.text",
}
