package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// Prefix is where static files are served.
const Prefix = "/static/"

// styles are joined, in this order, into the one style sheet.
var styles = []string{"base", "identity", "desk", "message", "compose", "sign-in", "settings", "admin", "verify", "register", "problem"}

// types are the kinds of file that are served, and as what.
var types = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
}

type file struct {
	name, hash string
	body       []byte
}

// Static serves the static files. Each address holds a hash of the content, so
// that browsers may keep what they have for ever and never see a stale file.
type Static struct {
	files map[string]file // By name; read-only after newStatic.
}

func newStatic(own, assets fs.FS) (*Static, error) {
	s := &Static{files: map[string]file{}}
	if err := s.addAll(assets, "assets"); err != nil {
		return nil, err
	}
	if err := s.addAll(own, "page"); err != nil {
		return nil, err
	}
	css := []byte(s.faces()) // Fonts first: they're named by the styles.
	for _, name := range styles {
		part, err := fs.ReadFile(own, path.Join("page", name, name+".css"))
		if err != nil {
			return nil, fmt.Errorf("reading a style: %w", err)
		}
		css = append(css, part...)
	}
	s.add("sijill.css", css)
	return s, nil
}

// addAll adds every file below dir under its base name, except the templates
// and the styles that are joined.
func (s *Static) addAll(from fs.FS, dir string) error {
	return fs.WalkDir(from, dir, func(name string, d fs.DirEntry, err error) error {
		ext := path.Ext(name)
		if err != nil || d.IsDir() || types[ext] == "" || ext == ".css" && slices.Contains(styles, strings.TrimSuffix(path.Base(name), ext)) {
			return err
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return fmt.Errorf("reading a static file: %w", err)
		}
		s.add(path.Base(name), body)
		return nil
	})
}

func (s *Static) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	s.files[name] = file{name: name, hash: hex.EncodeToString(sum[:8]), body: body}
}

// Has tells whether the file is there; those from npm may not be.
func (s *Static) Has(name string) bool { return s.files[name].name != "" }

// URL is the address of a file. Naming one that isn't there is an error.
func (s *Static) URL(name string) (string, error) {
	f, ok := s.files[name]
	if !ok {
		return "", fmt.Errorf("static file %s: %w", name, fs.ErrNotExist)
	}
	return Prefix + f.hash + "/" + name, nil
}

// ServeHTTP answers for addresses that URL gave.
func (s *Static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	f, ok := s.files[name]
	if !ok || hash != f.hash {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", types[path.Ext(name)])
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("ETag", `"`+f.hash+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.body))
}
