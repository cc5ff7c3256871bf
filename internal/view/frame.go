package view

import "time"

// Frame is what every page has round its content. Pages embed it.
type Frame struct {
	L       *Locale
	Locales []*Locale
	Now     time.Time
	Title   string // Of the window; plain text.
	Office  string
	Here    string // Path of this page, to come back to after changing the language.
	Nav     string // Which place of the navigation this is: mail, folders, search, register, verify, help.

	Person, Address string // Who is signed in; empty for nobody.
	Folders         []FolderLink
	Query           string   // What was searched for.
	Scripts         []string // Names of the page's own scripts.
}

// FolderLink is one folder in the navigation.
type FolderLink struct {
	ID            int64
	Name, Role    string
	Total, Unseen int64
	Current       bool
}
