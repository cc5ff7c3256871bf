package view

import (
	"strconv"
	"strings"
	"time"

	"github.com/hablullah/go-hijri"
)

var months = map[string][]string{
	"ar": {"يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو", "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر"},
	"en": {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
}

// short are months where there's little room. Arabic has no such forms.
var short = map[string][]string{
	"ar": months["ar"],
	"en": {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
}

var weekdays = map[string][]string{
	"ar": {"الأحد", "الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت"},
	"en": {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"},
}

var hijriMonths = []string{"محرم", "صفر", "ربيع الأول", "ربيع الآخر", "جمادى الأولى", "جمادى الآخرة", "رجب", "شعبان", "رمضان", "شوال", "ذو القعدة", "ذو الحجة"}

// Date is the day, as in "31 March 2015".
func (l *Locale) Date(t time.Time) string {
	return l.day(t, months) + " " + l.Digits(strconv.Itoa(t.Year()))
}

func (l *Locale) day(t time.Time, names map[string][]string) string {
	return l.Digits(strconv.Itoa(t.Day())) + " " + names[l.Tag][t.Month()-1]
}

// Clock is the time of day, 24 hours.
func (l *Locale) Clock(t time.Time) string { return l.Digits(t.Format("15:04")) }

// Full is weekday, day and time, with the offset from UTC: a record must not
// leave a reader guessing.
func (l *Locale) Full(t time.Time) string {
	comma := ", "
	if l.Tag == "ar" {
		comma = "، "
	}
	return weekdays[l.Tag][t.Weekday()] + " " + l.Date(t) + comma + l.Clock(t) + " " + l.zone(t)
}

// Precise is day and time to the second, in UTC: for what the register says.
func (l *Locale) Precise(t time.Time) string {
	t = t.UTC()
	comma := ", "
	if l.Tag == "ar" {
		comma = "، "
	}
	return l.Date(t) + comma + l.Digits(t.Format("15:04:05")) + " " + l.zone(t)
}

// zone names the offset. Its sign stays before its digits in Arabic text too,
// which takes a mark of direction.
func (l *Locale) zone(t time.Time) string {
	name, offset := "UTC", t.Format("-07:00")
	if l.Tag == "ar" {
		name = "غرينتش"
	}
	if offset == "+00:00" {
		return name
	}
	return name + "\u00a0\u200e" + l.Digits(strings.TrimSuffix(offset, ":00"))
}

// Short is for lists: the time today, the day this year, else with the year.
func (l *Locale) Short(t, now time.Time) string {
	switch {
	case t.Year() != now.Year():
		return l.day(t, short) + " " + l.Digits(strconv.Itoa(t.Year()))
	case t.YearDay() == now.YearDay():
		return l.Clock(t)
	}
	return l.day(t, short)
}

// Hijri is the day in the Umm al-Qura calendar, in Arabic only; empty outside
// the years that calendar is known for (1937 to 2077).
func (l *Locale) Hijri(t time.Time) string {
	if l.Tag != "ar" {
		return ""
	}
	// The library takes the day in UTC, but the day meant is the local one.
	noon := time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, time.UTC)
	h, err := hijri.CreateUmmAlQuraDate(noon)
	if err != nil || h.Month < 1 || h.Month > 12 {
		return ""
	}
	return l.Digits(strconv.FormatInt(h.Day, 10)) + " " + hijriMonths[h.Month-1] + " " + l.Digits(strconv.FormatInt(h.Year, 10)) + " هـ"
}

// Stamp is a time as machines read it, for <time datetime>.
func (l *Locale) Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
