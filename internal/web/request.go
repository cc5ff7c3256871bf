package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"sijill/internal/view"
)

// request is a request with who makes it and in which language they read.
type request struct {
	*http.Request
	viewer *Viewer // nil before sign-in
	locale *view.Locale
}

// handler answers a request or returns an error for fail to turn into a status.
// It writes nothing before it is sure not to return an error.
type handler func(http.ResponseWriter, *request) error

// open serves a page to anyone.
func (s *site) open(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := s.identify(r)
		if err == nil {
			err = h(w, q)
		}
		if err != nil {
			s.fail(w, q, err)
		}
	})
}

// signed serves a page to those who are signed in and whose account is their own,
// and sends others there first.
func (s *site) signed(h handler) http.Handler {
	return s.signedOr(h, s.toSignIn)
}

// toSignIn sends to the sign-in page, and back afterwards.
func (s *site) toSignIn(w http.ResponseWriter, r *request) error {
	to := "/sign-in"
	if r.Method == http.MethodGet {
		to += "?back=" + url.QueryEscape(r.URL.RequestURI())
	}
	http.Redirect(w, r.Request, to, http.StatusSeeOther)
	return nil
}

// signedOr serves a page to those who are signed in, and another to those who
// aren't. A script can't follow to a page: it is told to go there.
func (s *site) signedOr(h, out handler) http.Handler { return s.owned(known(h, out)) }

// known is signedOr for those as well who have yet to choose a password.
func known(h, out handler) handler {
	return func(w http.ResponseWriter, r *request) error {
		switch {
		case r.viewer != nil:
			return h(w, r)
		case r.partial():
			return leadTo(w, r, "/sign-in")
		}
		return out(w, r)
	}
}

// running serves a page to those who run the server. For others there's none.
func (s *site) running(h handler) http.Handler {
	return s.signed(func(w http.ResponseWriter, r *request) error {
		if !r.viewer.Admin {
			return fs.ErrNotExist
		}
		return h(w, r)
	})
}

// identify finds the session and the language of a request. It always returns
// a request, so that an error can be told in a language.
func (s *site) identify(r *http.Request) (*request, error) {
	q := &request{Request: r}
	err := s.session(q)
	var chosen, preferred, digits string
	if c, err := r.Cookie(languageCookie); err == nil {
		chosen = c.Value
	}
	if q.viewer != nil {
		preferred, digits = q.viewer.Language, q.viewer.Digits
	}
	q.locale = s.views.Locale(r.Header.Get("Accept-Language"), chosen, preferred).WithDigits(digits)
	return q, err
}

func (s *site) session(q *request) error {
	c, err := q.Cookie(s.cookieName())
	if err != nil || c.Value == "" {
		return nil
	}
	v, err := s.Access.Resume(q.Context(), c.Value)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up a session: %w", err)
	}
	q.viewer = v
	return nil
}

// partial tells whether a script asks for a part of a page.
func (r *request) partial() bool {
	return r.Header.Get("HX-Request") == "true" && r.Header.Get("HX-History-Restore-Request") == ""
}

// number reads a number of the query or the path, in any digits; absent is a
// value when it isn't there.
func (r *request) number(name string, absent int64) (int64, error) {
	text := r.PathValue(name)
	if text == "" {
		text = r.URL.Query().Get(name)
	}
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(latinDigits(text), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("reading %s: %w", name, errBadRequest)
	}
	return n, nil
}

// entry is the number of the entry that the path names. One that is no number
// is absent.
func (r *request) entry() (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("entry"), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("reading an entry's number: %w", fs.ErrNotExist)
	}
	return n, nil
}

// form reads the form that a request brings.
func (r *request) form() (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Errorf("reading a form: %w", errBadRequest)
	}
	return r.PostForm, nil
}

// back is the page that a form was on, or another one of ours.
func (r *request) back(other string) string {
	if b := r.PostForm.Get("back"); b != "" {
		return local(b)
	}
	return other
}

// caller is where a request comes from.
func (s *site) caller(r *request) Caller {
	return Caller{From: s.peer(r.Request), Agent: r.UserAgent()}
}

// latinDigits writes Arabic-Indic and Persian digits as 0 to 9.
func latinDigits(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case '٠' <= r && r <= '٩':
			return r - '٠' + '0'
		case '۰' <= r && r <= '۹':
			return r - '۰' + '0'
		}
		return r
	}, norm.NFKC.String(strings.TrimSpace(s)))
}

// imagesToken is what a page must name to get the remote images of an entry.
// It hangs on the session, so that no link in a message can ask for them.
func (r *request) imagesToken(entry int64) string {
	m := hmac.New(sha256.New, []byte(r.viewer.Token))
	fmt.Fprintf(m, "images of entry %d", entry)
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:15])
}

// wantsImages tells whether the reader asked for the remote images of an entry.
func (r *request) wantsImages(entry int64) bool {
	return hmac.Equal([]byte(r.URL.Query().Get("images")), []byte(r.imagesToken(entry)))
}

// peer is the address that a request comes from.
func (s *site) peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	from := ap.Addr().Unmap()
	for _, p := range s.Proxies {
		if !p.Contains(from) {
			continue
		}
		// The last one is what our proxy saw; those before are hearsay.
		all := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if a, err := netip.ParseAddr(strings.TrimSpace(all[len(all)-1])); err == nil {
			return a.Unmap()
		}
	}
	return from
}

// local is path if it leads to a page of ours, else "/".
func local(path string) string {
	u, err := url.Parse(path)
	ok := err == nil && u.Scheme == "" && u.Host == "" && u.User == nil &&
		strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.ContainsAny(path, "\\\r\n\t")
	if !ok {
		return "/"
	}
	return path
}
