// Package view draws the pages: templates, the Arabic and English catalogs, and
// the static files that pages name.
//
// It promises that whatever can be wrong with a template, a catalog or a file
// is found when New runs, not when a reader asks for a page; that a page holds
// no inline script and no inline style, so that a strict Content-Security-Policy
// can be kept; and that everything works without the files from npm, which are
// fonts and niceties only.
//
// A page's template, style and script share a folder under page. Templates get
// one typed struct, which embeds Frame.
package view

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
)

//go:embed page catalog
var own embed.FS

//go:embed all:assets
var assets embed.FS

// shared are the template files that every page may use.
var shared = []string{"page/base/base.html", "page/base/icons.html", "page/identity/identity.html", "page/desk/desk.html", "page/message/message.html"}

// pages are the pages that can be drawn, each from page/NAME/NAME.html.
var pages = []string{
	"sign-in", "recover", "desk", "message", "folders", "compose", "stranded", "reminders", "confirm", "open", "prove", "choose", "secret",
	"settings", "security", "apps", "sessions", "accounts", "account", "domains", "queue", "health",
	"verify", "register", "help", "problem",
}

// Views draws pages. It is safe for concurrent use.
type Views struct {
	pages   map[string]*template.Template
	static  *Static
	locales []*Locale
}

// New parses every template and catalog and hashes every file. An error means
// that the program was built wrongly.
func New() (*Views, error) {
	locales, err := loadLocales(own)
	if err != nil {
		return nil, err
	}
	static, err := newStatic(own, assets)
	if err != nil {
		return nil, err
	}
	v := &Views{pages: map[string]*template.Template{}, static: static, locales: locales}
	for _, name := range pages {
		if v.pages[name], err = parse(own, static, name); err != nil {
			return nil, fmt.Errorf("parsing page %s: %w", name, err)
		}
	}
	return v, nil
}

// homes are the folders of pages that don't have one of their own name.
var homes = map[string]string{
	"recover": "sign-in", "open": "sign-in", "prove": "sign-in", "choose": "sign-in", "security": "settings", "apps": "settings", "sessions": "settings", "secret": "settings",
	"accounts": "admin", "account": "admin", "domains": "admin", "queue": "admin", "health": "admin",
	"reminders": "folders", "confirm": "problem", "stranded": "compose",
}

func parse(files fs.FS, static *Static, name string) (*template.Template, error) {
	t := template.New("page").Option("missingkey=error").Funcs(template.FuncMap{
		"asset": static.URL,
		"has":   static.Has,
		"seal":  seal,
		"dir":   Direction,
	})
	all := shared
	home := name
	if h, ok := homes[name]; ok {
		home = h
	}
	switch home {
	case "settings", "admin":
		all = append(all[:len(all):len(all)], path.Join("page", home, "tabs.html"))
	}
	if own := path.Join("page", home, name+".html"); own != "page/desk/desk.html" && own != "page/message/message.html" {
		all = append(all[:len(all):len(all)], own)
	}
	return t.ParseFS(files, all...)
}

// Render draws page name. What data must be is said by the template.
func (v *Views) Render(name string, data any) ([]byte, error) {
	return v.execute(name, name, data)
}

// Fragment draws a part of a page, for a script to put into one that is
// already there.
func (v *Views) Fragment(page, part string, data any) ([]byte, error) {
	return v.execute(page, part, data)
}

func (v *Views) execute(page, part string, data any) ([]byte, error) {
	t := v.pages[page]
	if t == nil {
		return nil, fmt.Errorf("drawing page %s: %w", page, fs.ErrNotExist)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, part, data); err != nil {
		return nil, fmt.Errorf("drawing page %s: %w", page, err)
	}
	return b.Bytes(), nil
}

// Static is the server of scripts, styles and fonts.
func (v *Views) Static() *Static { return v.static }
