package web

import (
	"net/http"
	"strings"
)

// pagePolicy is the policy of our own pages: everything from here, nothing
// inline, nothing evaluated.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; " +
	"connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// filePolicy is the policy of what a message brought, should a browser show it.
const filePolicy = "sandbox; default-src 'none'; frame-ancestors 'none'"

// maxForm is the longest form in bytes that is read; maxSelection the longest
// that names messages.
const (
	maxForm      = 256 << 10
	maxSelection = 8 << 20
)

// limit is how many bytes of a request's body are read.
func (s *site) limit(path string) int64 {
	switch path {
	case "/compose":
		return s.MaxLetter + maxForm
	case "/act":
		return maxSelection
	}
	return maxForm
}

// protect refuses what other sites send and sets the headers that every answer
// has. Handlers may replace the policy.
func (s *site) protect(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(s.open(func(http.ResponseWriter, *request) error { return errCrossOrigin }))
	next = cross.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=(), publickey-credentials-get=(self), publickey-credentials-create=(self)")
		if s.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.limit(r.URL.Path))
		next.ServeHTTP(w, r)
	})
}

// letterPolicy is the policy of the frame that shows HTML mail. Scripts are
// forbidden three times: they're removed, the frame is sandboxed without them,
// and the policy names no source for them. allow-same-origin lets the page
// around measure the frame and lets the session fetch a message's own images;
// it gives a document without scripts nothing else.
func letterPolicy(images bool) string {
	p := []string{
		"sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox",
		"default-src 'none'",
		"style-src-elem 'self'", "style-src-attr 'unsafe-inline'",
		"img-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors 'self'",
	}
	if images {
		p[4] = "img-src 'self' https: http:"
	}
	return strings.Join(p, "; ")
}
