package message

import (
	"testing"
	"time"
)

func TestParseDate(t *testing.T) {
	const want = "2006-01-02T15:04:05-07:00"
	for _, in := range []string{
		"Mon, 2 Jan 2006 15:04:05 -0700",
		"Mon, 02 Jan 2006 15:04:05 -0700 (MST)",
		"Fri, 2 Jan 2006 15:04:05 -0700",
		"2 Jan 2006 15:04:05 -0700",
		"2 Jan 06 15:04:05 -0700",
		"2 Jan 106 15:04:05 -0700",
		"Monday, 2 January 2006 15:04:05 -0700",
		"Mon,2 Jan 2006 15:04:05-0700",
		"Mon, 2 (the second (of)) Jan 2006 15:04:05 -0700",
		"Mon, 2 Jan 2006 15:04:05 MST",
		"Mon, 2 Jan 2006 15:04:05 GMT-0700",
		"Mon, 2 Jan 2006 15:04:05 GMT-07:00",
		"Mon, 2 Jan 2006 15:04:05 -07:00",
		"Mon, 2 Jan 2006 15:04:05 -7",
		"Mon, 2 Jan 2006 15.04.05 -0700",
		"Mon, 2 Jan 2006 3:04:05 PM -0700",
		"Mon Jan  2 15:04:05 MST 2006",
		"Mon Jan  2 15:04:05 2006 -0700",
		"Jan 2, 2006 15:04:05 -0700",
		"2006-01-02T15:04:05-07:00",
		"2006-01-02 15:04:05 -0700",
		"2006-01-02T15:04:05.000-0700",
		"02-Jan-2006 15:04:05 -0700",
		"2-Jan-06 15:04:05 -0700",
		"1/2/2006 3:04:05 PM -0700",
		"2.1.2006 15:04:05 -0700",
		"\"Mon, 2 Jan 2006 15:04:05 -0700\"",
	} {
		got, ok := ParseDate(in)
		if !ok || got.Format(time.RFC3339) != want {
			t.Errorf("%s: got %v %v", in, got, ok)
		}
	}
	for in, want := range map[string]string{
		"2 Jan 2006":                         "2006-01-02T00:00:00Z",
		"Mon, 2 Jan 2006 15:04":              "2006-01-02T15:04:00Z",
		"Mon Jan  2 15:04:05 2006":           "2006-01-02T15:04:05Z",
		"13/12/1999 10:00":                   "1999-12-13T10:00:00Z",
		"1 Jan 49 00:00:00 Z":                "2049-01-01T00:00:00Z",
		"1 Jan 50 00:00:00 Z":                "1950-01-01T00:00:00Z",
		"1 Jan 2000 12:30:00 AM +0300":       "2000-01-01T00:30:00+03:00",
		"1 Jan 2000 10:00:00 A":              "2000-01-01T10:00:00Z",
		"31 Dec 1999 23:59:60 +0000":         "2000-01-01T00:00:00Z",
		"Sat, 1 Jan 2000 00:00:00 +9999":     "2000-01-01T00:00:00Z",
		"Sat, 1 Jan 2000 99:99:99 +0000":     "2000-01-01T00:00:00Z",
		"Sat, 1 Jan 2000 00:00:00 \"EST\"":   "2000-01-01T00:00:00-05:00",
		"Sat, 1 Jan 2000 00:00:00 Somewhere": "2000-01-01T00:00:00Z",
	} {
		got, ok := ParseDate(in)
		if !ok || got.Format(time.RFC3339) != want {
			t.Errorf("%s: got %v %v, want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "Whenever", "Mon", "2006", "32 Jan 2006 00:00:00", "1 Jan", "1 Foo 2006", "99999999999999999999 Jan 1"} {
		if got, ok := ParseDate(in); ok {
			t.Errorf("%s: got %v", in, got)
		}
	}
}

// TestDatesApart: the date that the sender wrote and those of the servers are
// not mixed up.
func TestDatesApart(t *testing.T) {
	m := Parse([]byte("Received: from a by b\n\t(with; a semicolon);\n\tTue, 3 Jan 2006 10:00:00 +0000\n" +
		"Received: from c by a; Tue, 3 Jan 2006 09:00:00 +0000\nDate: Mon, 2 Jan 2006 15:04:05 +0000\n\n"))
	if d, ok := m.Date(); !ok || d.Day() != 2 {
		t.Errorf("date %v %v", d, ok)
	}
	if d, ok := m.Received(); !ok || d.Hour() != 10 {
		t.Errorf("received %v %v", d, ok)
	}
	m = Parse([]byte("Received: by a with no date\nReceived: by b; nonsense\n\n"))
	if d, ok := m.Received(); ok {
		t.Errorf("received %v", d)
	}
	if d, ok := m.Date(); ok {
		t.Errorf("date %v", d)
	}
}
