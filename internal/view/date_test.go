package view

import (
	"testing"
	"time"
)

func TestDates(t *testing.T) {
	v := newViews(t)
	ar, en := v.Locale("", "ar"), v.Locale("", "en")
	gulf := time.FixedZone("", 4*3600)
	at := time.Date(2015, 3, 31, 23, 40, 9, 0, gulf)
	now := time.Date(2015, 3, 31, 23, 59, 0, 0, gulf)
	for _, c := range []struct{ what, got, want string }{
		{"full", ar.Full(at), "الثلاثاء ٣١ مارس ٢٠١٥، ٢٣:٤٠ غرينتش\u00a0\u200e+٠٤"},
		{"full", en.Full(at), "Tuesday 31 March 2015, 23:40 UTC\u00a0\u200e+04"},
		{"precise", ar.Precise(at), "٣١ مارس ٢٠١٥، ١٩:٤٠:٠٩ غرينتش"},
		{"precise", en.Precise(at), "31 March 2015, 19:40:09 UTC"},
		{"half an hour", en.Full(at.In(time.FixedZone("", -9*1800))), "Tuesday 31 March 2015, 15:10 UTC\u00a0\u200e-04:30"},
		{"today", ar.Short(at, now), "٢٣:٤٠"},
		{"this year", en.Short(at, now.AddDate(0, 2, 0)), "31 Mar"},
		{"long ago", ar.Short(at, now.AddDate(3, 0, 0)), "٣١ مارس ٢٠١٥"},
		{"hijri of the local day", ar.Hijri(at), "١١ جمادى الآخرة ١٤٣٦ هـ"},
		{"hijri elsewhere", en.Hijri(at), ""},
		{"hijri before it is known", ar.Hijri(at.AddDate(-100, 0, 0)), ""},
		{"hijri after it is known", ar.Hijri(at.AddDate(100, 0, 0)), ""},
		{"stamp", ar.Stamp(at), "2015-03-31T19:40:09Z"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", c.what, c.got, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	v := newViews(t)
	for n, want := range map[int64][2]string{
		0: {"٠\u00a0بايت", "0\u00a0bytes"}, 1536: {"١٫٥\u00a0ك.ب", "1.5\u00a0KB"},
		150 << 10: {"١٥٠\u00a0ك.ب", "150\u00a0KB"}, 3 << 40: {"٣٠٧٢\u00a0غ.ب", "3072\u00a0GB"},
	} {
		for i, tag := range []string{"ar", "en"} {
			if got, err := v.Locale("", tag).Bytes(n); err != nil || got != want[i] {
				t.Errorf("%d in %s: %q, %v", n, tag, got, err)
			}
		}
	}
	if got := v.Locale("", "en").Number(-1234567); got != "-1,234,567" {
		t.Error(got)
	}
}
