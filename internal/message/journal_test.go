package message

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.ReplaceAll(string(b), "\n", "\r\n"))
}

func TestDetectJournal(t *testing.T) {
	for _, tt := range []struct {
		file, sender string
		recipients   []string
	}{
		{"journal-exchange.eml", "layla@diwan.example", []string{"omar@diwan.example", "samir@diwan.example", "archive@other.example", "hidden@diwan.example"}},
		{"journal-unmarked.eml", "layla@diwan.example", []string{"omar@diwan.example"}},
		{"journal-list.eml", "layla@diwan.example", []string{"omar@diwan.example", "samir@diwan.example"}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			raw := fixture(t, tt.file)
			j, ok := DetectJournal(raw)
			if !ok {
				t.Fatal("not detected")
			}
			if j.Sender != tt.sender || !slices.Equal(j.Recipients, tt.recipients) {
				t.Errorf("sender %q, recipients %q", j.Sender, j.Recipients)
			}
			e := Envelope{Journal: j}
			inner := Parse(e.Inner(raw))
			check(t, inner)
			if inner.Subject() != "The canals" || inner.Text() != "The survey is complete." {
				t.Errorf("inner message: %q %q", inner.Subject(), inner.Text())
			}
			if j.End > 0 && string(raw[j.Start:j.End]) != string(e.Inner(raw)) {
				t.Error("offsets and inner message differ")
			}
		})
	}
}

// TestEncodedJournal: the inner message is found also where it was encoded.
func TestEncodedJournal(t *testing.T) {
	inner := "Subject: The canals\r\n\r\nThe survey is complete."
	raw := []byte("X-MS-Journal-Report:\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSender: a@x.example\r\nTo: b@x.example\r\n--b\r\n" +
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + toBase64(inner) + "\r\n--b--\r\n")
	j, ok := DetectJournal(raw)
	if !ok || j.Start != 0 || j.End != 0 {
		t.Fatalf("got %+v %v", j, ok)
	}
	e := Envelope{Journal: j}
	if got := string(e.Inner(raw)); got != inner {
		t.Errorf("inner %q", got)
	}
}

func TestNoJournal(t *testing.T) {
	const report = "Sender: a@x.example\r\nMessage-ID: <1@x>\r\nRecipient: b@x.example\r\n"
	const inner = "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny\r\n--b--\r\n"
	const multi = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	for name, raw := range map[string]string{
		"empty":              "",
		"plain":              "Subject: x\r\n\r\n" + report,
		"no inner message":   multi + "--b\r\n\r\n" + report + "--b--\r\n",
		"no text":            multi + inner,
		"forwarded":          multi + "--b\r\n\r\nSee below.\r\n" + inner,
		"words before":       multi + "--b\r\n\r\nHello,\r\n" + report + inner,
		"no recipient":       multi + "--b\r\n\r\nSender: a@x.example\r\nMessage-ID: <1@x>\r\n" + inner,
		"report in HTML":     multi + "--b\r\nContent-Type: text/html\r\n\r\n" + report + inner,
		"inner is empty":     multi + "--b\r\n\r\n" + report + "--b\r\nContent-Type: message/rfc822\r\n\r\n--b--\r\n",
		"multipart in body":  "\r\n" + multi,
		"multipart of words": "X: multipart/\r\n\r\n",
	} {
		if j, ok := DetectJournal([]byte(raw)); ok {
			t.Errorf("%s: got %+v", name, j)
		}
	}
}

func TestEnvelope(t *testing.T) {
	raw := []byte("Subject: x\r\n\r\n")
	e := Envelope{Door: "smtp", To: []string{"a@x"}, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if got := e.Present(raw); &got[0] != &raw[0] {
		t.Error("the message was copied for nothing")
	}
	e.Trace = "Return-Path: <>\r\n"
	if got := string(e.Present(raw)); got != "Return-Path: <>\r\nSubject: x\r\n\r\n" {
		t.Errorf("got %q", got)
	}
	if got := e.Inner(raw); &got[0] != &raw[0] {
		t.Error("inner message of a plain one")
	}
	b, err := json.Marshal(&e)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"door":"smtp","to":["a@x"],"time":"2026-01-02T03:04:05Z","trace":"Return-Path: \u003c\u003e\r\n"}`; string(b) != want {
		t.Errorf("got %s", b)
	}
	// Offsets that do not fit the message must not be followed.
	for _, j := range []Journal{{Start: 1, End: 1000}, {Start: -1, End: 4}, {Start: 5, End: 3}} {
		e.Journal = &j
		if got := string(e.Inner(raw)); got != string(raw) {
			t.Errorf("%+v: got %q", j, got)
		}
	}
}
