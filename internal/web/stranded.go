package web

import (
	"errors"
	"io"
	"net/http"
	"net/url"

	"sijill/internal/view"
)

// maxStranded is how much is read of a letter that nobody signed in has written,
// in bytes, its files left out.
const maxStranded = 1 << 20

// strandedPage shows a letter of somebody who is signed out.
type strandedPage struct {
	view.Frame
	Hidden                     []NamedText // Name and Value, to post again.
	To, Cc, Bcc, Subject, Text string
	Files                      bool // Files came along, which are not kept.
}

// stranded answers when a letter comes and the session is over: the words stand on
// the page, which saves them once somebody is signed in again.
func (s *site) stranded(w http.ResponseWriter, r *request) error {
	form, files, err := r.words()
	if err != nil {
		return err
	}
	p := strandedPage{Frame: s.frame(r, ""), To: form.Get("to"), Cc: form.Get("cc"), Bcc: form.Get("bcc"),
		Subject: form.Get("subject"), Text: form.Get("text"), Files: files}
	p.Here = "/sign-in"
	for _, name := range []string{"back", "from", "draft", "answers", "how", "keep"} {
		for _, v := range form[name] {
			p.Hidden = append(p.Hidden, NamedText{Name: name, Value: v})
		}
	}
	if p.Title, err = r.locale.Plain("compose.stranded"); err != nil {
		return err
	}
	return s.render(w, http.StatusForbidden, "stranded", p)
}

// words reads the form of a letter without its files, and tells whether any came.
// They are read to the end: a browser that is cut off shows no answer.
func (r *request) words() (form url.Values, files bool, err error) {
	parts, err := r.MultipartReader()
	if errors.Is(err, http.ErrNotMultipart) {
		if err := r.ParseForm(); err != nil {
			return nil, false, unread(err)
		}
		return r.PostForm, false, nil
	}
	if err != nil {
		return nil, false, unread(err)
	}
	form = url.Values{}
	for left := maxStranded; ; {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return form, files, nil
		}
		if err != nil {
			return nil, false, unread(err)
		}
		if p.FormName() == "files" {
			files = files || p.FileName() != ""
			continue
		}
		b, err := io.ReadAll(io.LimitReader(p, int64(left)+1))
		if left -= len(b); err == nil && left < 0 {
			err = &http.MaxBytesError{Limit: maxStranded}
		}
		if err != nil {
			return nil, false, unread(err)
		}
		form.Add(p.FormName(), string(b))
	}
}
