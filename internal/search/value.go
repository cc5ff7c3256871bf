package search

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// value reads the value of a field that doesn't take words.
func (p *parser) value(f field) (*node, error) {
	start := p.pos
	var v string
	if open, closing := quoteAt(p.query[start:]); open > 0 {
		var err error
		if v, err = p.quoted(open, closing); err != nil {
			return nil, err
		}
	} else {
		v = p.word()
		p.pos += len(v)
	}
	n, code := valueNode(f, v)
	if code != "" {
		return nil, p.wrong(start, p.pos-start, code)
	}
	n.offset, n.length = start, p.pos-start
	return n, nil
}

func valueNode(f field, v string) (n *node, code string) {
	switch f {
	case fieldHas:
		switch foldName(v) {
		case "attachment", "attachments", "مرفق", "مرفقات":
			return &node{op: opAttachment}, ""
		}
		return nil, CodeHas
	case fieldIs:
		return flagNode(v)
	case fieldIn:
		if strings.TrimSpace(v) == "" {
			return nil, CodeEmpty
		}
		return &node{op: opFolder, name: v}, ""
	case fieldLarger, fieldSmaller:
		size, ok := parseSize(v)
		if !ok {
			return nil, CodeSize
		}
		r := sizeRange{over: size, under: math.MaxInt64}
		if f == fieldSmaller {
			r = sizeRange{over: -1, under: size}
		}
		return &node{op: opSize, size: r}, ""
	}
	d, ok := parseDate(v)
	if !ok || f == fieldOn && d.back != 0 {
		return nil, CodeDate
	}
	return &node{op: opDate, dates: dateRange{field: f, date: d}}, ""
}

// flag is what a message may bear in a folder.
type flag uint8

const (
	flagUnread flag = iota
	flagAnswered
	flagFlagged
	flagDraft
)

// flagWords has the words for flags in both languages, as foldName folds them.
var flagWords = map[string]flag{
	"unread": flagUnread, "unseen": flagUnread, "new": flagUnread, "غيرمقروءه": flagUnread, "جديده": flagUnread,
	"answered": flagAnswered, "replied": flagAnswered, "مجابه": flagAnswered, "مردودعليها": flagAnswered,
	"flagged": flagFlagged, "starred": flagFlagged, "مميزه": flagFlagged, "معلمه": flagFlagged,
	"draft": flagDraft, "drafts": flagDraft, "مسوده": flagDraft,
}

// readWords say that a message is not unread.
var readWords = []string{"read", "seen", "مقروءه"}

// flagNode reads the value of is:. Words may be joined by spaces in quotation
// marks, hyphens or underscores: is:unread, حالة:غير-مقروءة.
func flagNode(v string) (n *node, code string) {
	folded := foldName(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '_' {
			return -1
		}
		return r
	}, v))
	if f, ok := flagWords[folded]; ok {
		return &node{op: opFlag, flag: f}, ""
	}
	if slices.Contains(readWords, folded) {
		return &node{op: opNot, kids: []*node{{op: opFlag, flag: flagUnread}}}, ""
	}
	return nil, CodeIs
}

// foldName brings the spellings of a field's name or a fixed value together.
func foldName(s string) string {
	return words().Prefix(s)
}

// sizeRange holds sizes that are more than over and less than under, in bytes.
type sizeRange struct{ over, under int64 }

// parseSize reads sizes such as 500, 10k, 1.5M and 2GB; k is 1,024.
func parseSize(s string) (int64, bool) {
	s = strings.ToLower(foldDigits(s))
	s = strings.TrimSuffix(strings.TrimSpace(s), "b")
	unit := 1.0
	if s != "" {
		if i := strings.IndexByte("kmg", s[len(s)-1]); i >= 0 {
			unit, s = math.Pow(1024, float64(i+1)), s[:len(s)-1]
		}
	}
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n*unit > 1<<50 {
		return 0, false
	}
	return int64(n * unit), true
}

// foldDigits writes Arabic and Persian digits as ASCII ones.
func foldDigits(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '٠' && r <= '٩':
			return r - '٠' + '0'
		case r >= '۰' && r <= '۹':
			return r - '۰' + '0'
		}
		return r
	}, s)
}

// date is a day, month or year, or a time back from today.
type date struct {
	year, month, day int // month and day are 0 where they aren't given
	back             int // how many units before today; with unit set
	unit             byte
	today            int // 1 today, 2 yesterday
}

var dayNames = map[string]int{"today": 1, "اليوم": 1, "yesterday": 2, "امس": 2}

// parseDate reads 2015, 2015-03, 2015-03-10, today, yesterday, 7d, 2w, 3m, 1y,
// and their Arabic forms.
func parseDate(s string) (d date, ok bool) {
	s = strings.ToLower(foldDigits(strings.TrimSpace(s)))
	for name, n := range dayNames {
		if s == name || strings.Map(foldHamza, s) == name {
			return date{today: n}, true
		}
	}
	if r, size := utf8.DecodeLastRuneInString(s); strings.ContainsRune("dwmy", r) {
		n, ok := parseNumber(s[:len(s)-size], 1, 4)
		return date{back: n, unit: byte(r)}, ok && n > 0
	}
	parts := strings.Split(s, "-")
	if len(parts) > 3 {
		return d, false
	}
	into := []*int{&d.year, &d.month, &d.day}
	for i, part := range parts {
		least, most := 1, 2
		if i == 0 {
			least, most = 4, 4
		}
		if *into[i], ok = parseNumber(part, least, most); !ok {
			return d, false
		}
	}
	first := time.Date(d.year, time.Month(max(d.month, 1)), max(d.day, 1), 0, 0, 0, 0, time.UTC)
	ok = d.year >= 1 && (len(parts) < 2 || d.month >= 1) && (len(parts) < 3 || d.day >= 1) &&
		int(first.Month()) == max(d.month, 1) && first.Day() == max(d.day, 1)
	return d, ok
}

func foldHamza(r rune) rune {
	if r == 'أ' {
		return 'ا'
	}
	return r
}

// parseNumber reads a number of least to most ASCII digits.
func parseNumber(s string, least, most int) (int, bool) {
	if len(s) < least || len(s) > most || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// span is the first moment of the date and the first after it. now has the
// reader's time zone.
func (d date) span(now time.Time) (from, to time.Time) {
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, now.Location()) }
	y, m, today := now.Date()
	switch {
	case d.today != 0:
		from = day(y, m, today+1-d.today)
		return from, from.AddDate(0, 0, 1)
	case d.unit != 0:
		switch d.unit {
		case 'd':
			from = day(y, m, today-d.back)
		case 'w':
			from = day(y, m, today-7*d.back)
		case 'm':
			from = day(y, m-time.Month(d.back), today)
		default:
			from = day(y-d.back, m, today)
		}
		return from, from.AddDate(0, 0, 1)
	case d.month == 0:
		return day(d.year, 1, 1), day(d.year+1, 1, 1)
	case d.day == 0:
		return day(d.year, time.Month(d.month), 1), day(d.year, time.Month(d.month)+1, 1)
	}
	from = day(d.year, time.Month(d.month), d.day)
	return from, from.AddDate(0, 0, 1)
}

// dateRange is a date with the field that it was given for.
type dateRange struct {
	field field // fieldBefore, fieldAfter or fieldOn
	date  date
}

// seconds is the range in unix seconds: from is in it, to is not. after: takes
// the date itself in, before: leaves it out.
func (r dateRange) seconds(now time.Time) (from, to int64) {
	first, next := r.date.span(now)
	switch r.field {
	case fieldBefore:
		return math.MinInt64, first.Unix()
	case fieldAfter:
		return first.Unix(), math.MaxInt64
	}
	return first.Unix(), next.Unix()
}
