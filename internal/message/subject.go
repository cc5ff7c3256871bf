package message

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// replyMarks are what mail programs put before the subject of a reply or a
// forwarded message, folded, without the colon.
var replyMarks = map[string]bool{
	"re": true, "r": true, "res": true, "ref": true, "rif": true, "fw": true, "fwd": true,
	"aw": true, "antw": true, "antwort": true, "wg": true, "sv": true, "vs": true, "vb": true, "vl": true,
	"tr": true, "rv": true, "enc": true, "odp": true, "pd": true, "ynt": true, "ilt": true, "i̇lt": true,
	"vá": true, "továbbítás": true, "bls": true, "trs": true, "doorst": true, "fs": true, "ha": true,
	"на": true, "отв": true, "回复": true, "答复": true, "转发": true, "回覆": true, "轉寄": true, "返信": true, "转": true,
	"رد": true, "الرد": true, "رد على": true, "إعادة": true, "توجيه": true, "إعادة توجيه": true,
	"اعادة توجيه": true, "إعادة إرسال": true, "اعادة ارسال": true, "محول": true, "تحويل": true, "هدایت": true, "پاسخ": true,
}

// SubjectBase takes off a subject what replies, forwarding and mailing lists
// put before and behind it, in the languages of many mail programs, so that
// the messages of one conversation share the rest (in the spirit of RFC 5256
// section 2.1). reply tells whether any mark of a reply or forwarding was there.
func SubjectBase(subject string) (base string, reply bool) {
	s := collapse(strings.TrimSpace(subject))
	for {
		rest, ok := cutMark(s)
		if ok {
			reply = true
		} else if rest, ok = cutTag(s); !ok {
			break
		}
		s = rest
	}
	for {
		cut := len(s) - len("(fwd)")
		if cut < 0 || !strings.EqualFold(s[cut:], "(fwd)") {
			return s, reply
		}
		s, reply = strings.TrimSpace(s[:cut]), true
	}
}

// cutMark takes one mark such as "Re:", "RE[2]:" or "رد:" off the front.
func cutMark(s string) (string, bool) {
	mark, end := findMark(s)
	if !replyMarks[mark] {
		return s, false
	}
	return strings.TrimSpace(s[end:]), true
}

// markOf is the mark at the front, folded, or "".
func markOf(s string) string {
	mark, _ := findMark(s)
	return mark
}

// findMark folds what stands before the first colon and gives the offset behind
// that.
func findMark(s string) (mark string, end int) {
	head := s[:min(len(s), 48)]
	colon := strings.IndexByte(head, ':')
	width := 1
	if wide := strings.Index(head, "："); wide >= 0 && (colon < 0 || wide < colon) {
		colon, width = wide, len("：")
	}
	if colon <= 0 {
		return "", 0
	}
	mark = strings.TrimSpace(head[:colon])
	if open := strings.IndexAny(mark, "[("); open > 0 && strings.Trim(mark[open:], "[]()0123456789") == "" {
		mark = strings.TrimSpace(mark[:open])
	}
	mark = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) || r == 'ـ' || unicode.Is(unicode.Cf, r) {
			return -1 // vowel marks, the stretching line, marks of direction
		}
		return unicode.ToLower(r)
	}, mark)
	return mark, colon + width
}

// cutTag takes a list's [tag] off the front, unless nothing would be left.
func cutTag(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	end := strings.IndexByte(s[:min(len(s), 64)], ']')
	if end < 0 {
		return s, false
	}
	rest := strings.TrimSpace(s[end+1:])
	return rest, rest != ""
}

// Snippet returns the first n characters of the text that m's author wrote; see
// the function Snippet.
func (m *Message) Snippet(n int) string { return Snippet(m.Text(), n) }

// Snippet returns the first n characters of text on one line: spaces are
// collapsed and quoted lines, rules and invisible characters left out. Where
// all is quoted, the quotation is shown.
func Snippet(text string, n int) string {
	if n <= 0 {
		return ""
	}
	own := snippet(text, n, false)
	if own == "" {
		own = snippet(text, n, true)
	}
	return own
}

func snippet(text string, n int, quoted bool) string {
	out := make([]byte, 0, min(len(text), 2*n+16))
	runes := 0
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, "> \t")
		if len(body) == 0 || !quoted && strings.HasPrefix(strings.TrimSpace(line), ">") || strings.Trim(body, "-_=*#~ \t\n") == "" {
			continue
		}
		for word := range strings.FieldsSeq(body) {
			word = strings.Map(visible, word)
			if word == "" {
				continue
			}
			if len(out) > 0 {
				out = append(out, ' ')
				runes++
			}
			out = append(out, word...)
			if runes += utf8.RuneCountInString(word); runes >= n {
				return strings.TrimSpace(firstRunes(string(out), n))
			}
		}
	}
	return string(out)
}

// visible drops characters that senders of bulk mail put in to push the text
// out of the preview. Joiners and marks of direction stay: Arabic needs them.
func visible(r rune) rune {
	switch r {
	case '\u200b', '\ufeff', '\u034f', '\u00ad', '\u2060', '\u180e':
		return -1
	}
	return r
}

// firstRunes returns the first n characters of s.
func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
