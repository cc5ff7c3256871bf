package view

import (
	"fmt"
	"strings"
)

// Letters that a file of a font is asked for. Without them a browser would
// fetch the Arabic file for an English page.
const (
	arabic   = "U+0600-06FF, U+0750-077F, U+0870-088E, U+0890-0891, U+0897-08E1, U+08E3-08FF, U+200C-200E, U+2010-2011, U+204F, U+2E41, U+FB50-FDFF, U+FE70-FE74, U+FE76-FEFC"
	latin    = "U+0000-00FF, U+0131, U+0152-0153, U+02BB-02BC, U+02C6, U+02DA, U+02DC, U+2000-200B, U+2012-2027, U+202F-204E, U+2050-206F, U+20AC, U+2122, U+2191, U+2193, U+2212, U+2215, U+FEFF, U+FFFD"
	latinExt = "U+0100-0130, U+0132-0151, U+0154-02BA, U+02BD-02C5, U+02C7-02CC, U+02CE-02D7, U+02DD-02FF, U+0304, U+0308, U+0329, U+1D00-1DBF, U+1E00-1E9F, U+1EF2-1EFF, U+2020, U+20A0-20AB, U+20AD-20C0, U+2113, U+2C60-2C7F, U+A720-A7FF"
)

// face is one file of a font family. scale is its size beside the others of the
// family: Arabic letters look smaller than Latin ones of the same size.
type face struct {
	family, file  string
	weight, scale int
	letters       string
}

var faces = []face{
	{"Sijill Sans", "plex-arabic-400.woff2", 400, 100, arabic + ", " + latin},
	{"Sijill Sans", "plex-arabic-600.woff2", 600, 100, arabic + ", " + latin},
	{"Sijill Sans", "plex-latin-ext-400.woff2", 400, 100, latinExt},
	{"Sijill Sans", "plex-latin-ext-600.woff2", 600, 100, latinExt},
	{"Sijill Serif", "naskh-400.woff2", 400, 106, arabic},
	{"Sijill Serif", "naskh-600.woff2", 600, 106, arabic},
	{"Sijill Serif", "serif-400.woff2", 400, 100, latin},
	{"Sijill Serif", "serif-600.woff2", 600, 100, latin},
	{"Sijill Serif", "serif-ext-400.woff2", 400, 100, latinExt},
	{"Sijill Serif", "serif-ext-600.woff2", 600, 100, latinExt},
}

// faces gives the @font-face rules of the fonts that are there. Without any,
// the families have no meaning and the system's fonts are used.
func (s *Static) faces() string {
	var b strings.Builder
	for _, f := range faces {
		url, err := s.URL(f.file)
		if err != nil {
			continue // Not built with the assets: a plain "go build".
		}
		fmt.Fprintf(&b, "@font-face{font-family:%q;src:url(%q) format(\"woff2\");font-weight:%d;font-display:swap;size-adjust:%d%%;unicode-range:%s}\n",
			f.family, url, f.weight, f.scale, f.letters)
	}
	return b.String()
}
