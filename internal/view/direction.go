package view

import (
	"regexp"
	"unicode"
)

// answered is what mail programs put before the subject of an answer.
var answered = regexp.MustCompile(`(?i)^\s*(?:(?:re|fwd?|aw|wg|tr|sv|vs|rif|antw)(?:\[\d+\])?\s*:\s*)+`)

// Direction is the dir attribute of a subject. It goes by the first letter (UAX #9,
// rule P2), as "auto" does, but not by that of "Re:": an answer in Arabic would
// read backwards.
func Direction(subject string) string {
	for _, r := range subject[len(answered.FindString(subject)):] {
		switch {
		case unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko) && unicode.IsLetter(r):
			return "rtl"
		case unicode.IsLetter(r):
			return "ltr"
		}
	}
	return "auto"
}
