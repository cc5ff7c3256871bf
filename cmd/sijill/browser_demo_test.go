package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sijill/internal/web/webtest"
)

// The demo has mail for both identities of both people. Where SIJILL_DESK names a
// file, a picture of it is left there: that of the documents is made so.
func TestDemoInBrowser(t *testing.T) {
	t.Cleanup(webtest.Close)
	h := &home{t, filepath.Join(t.TempDir(), "demo")}
	where := freePort(t)
	_, port, _ := strings.Cut(where, ":")
	out := &buffer{grown: make(chan struct{}, 1)}
	c := h.command("demo", "--smtp", "127.0.0.1:0", "--http", "127.0.0.1:"+port, "--lmtp", "off", "--metrics", "off", "--submission", "off", "--submissions", "off", "--imap", "off", "--imaps", "off")
	c.Stdout = out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Wait() }() // It is killed in the end.
	await(t, "the demo welcomes us", func() bool { return strings.Contains(out.String(), "Ctrl-C") })
	signIn, err := os.ReadFile(h.path(demoSignIn))
	if err != nil {
		t.Fatal(err)
	}
	password := strings.Fields(string(signIn))[1]

	b := webtest.Open(t, "http://"+where)
	b.Device(1280, 800, false)
	b.Enter("sami", password, "en")
	b.GoTo("/go/inbox?c=personal")
	b.Sees(row(b, "غداء الجمعة"))
	b.Enter("laila", password, "ar")
	b.GoTo("/go/inbox?c=personal")
	for _, subject := range []string{"غداء الجمعة", "the spare key", "مسرحية الصف الثاني"} {
		b.Sees(row(b, subject))
	}
	b.GoTo("/")
	read(b, "شكرٌ من الصف السادس، ومعه رسم")
	b.Until(`document.querySelectorAll(".side-group").length === 2`)
	b.Quiet()
	if file := os.Getenv("SIJILL_DESK"); file != "" {
		if err := os.WriteFile(file, b.Picture(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
