package web

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sijill/internal/web/webtest"
)

// TestLook takes pictures of the pages, for people to look at, into the folder
// that SIJILL_LOOK names.
func TestLook(t *testing.T) {
	into := os.Getenv("SIJILL_LOOK")
	if into == "" {
		t.Skip("SIJILL_LOOK names no folder for pictures")
	}
	o := newOffice(t, "127.0.0.1:9")
	o.own.keys = []Passkey{{ID: "k1", Name: "حاسوب المكتب", Opens: true, Everyday: true, Created: now.Add(-900 * time.Hour), Used: now.Add(-30 * time.Hour)},
		{ID: "k2", Name: "iPhone", Everyday: true, Created: now.Add(-50 * time.Hour)}, {ID: "k3", Name: "Old key", Created: now.Add(-9000 * time.Hour)}}
	b := webtest.Open(t, o.URL)
	only := os.Getenv("SIJILL_LOOK_ONLY")
	pages := []struct{ name, path string }{
		{"list", "/"},
		{"arabic", fmt.Sprintf("/m/%d", o.entry(t, "budget-1@"))},
		{"english", fmt.Sprintf("/m/%d", o.entry(t, "<contract@"))},
		{"files", fmt.Sprintf("/m/%d", o.entry(t, "offer-2027"))},
		{"hostile", fmt.Sprintf("/m/%d", o.entry(t, "<prize@"))},
		{"newsletter", fmt.Sprintf("/m/%d", o.entry(t, "<gazette-48@"))},
		{"html", fmt.Sprintf("/m/%d", o.entry(t, "<request-74@"))},
		{"search", "/search?q=%D8%A7%D9%84%D9%85%D9%8A%D8%B2%D8%A7%D9%86%D9%8A%D8%A9"},
		{"search-empty", "/search"},
		{"search-error", "/search?q=%D8%B9%D9%82%D8%AF+before%3Asomeday+laila"},
		{"verify", fmt.Sprintf("/m/%d/verify", o.entry(t, "budget-1@"))},
		{"verify-files", "/verify"},
		{"register", "/register"},
		{"help", "/help"},
		{"folders", "/folders"},
		{"absent", "/m/999999"},
		{"personal", "/go/inbox?c=personal"},
		{"personal-open", fmt.Sprintf("/m/%d", o.entry(t, "<article-4@"))},
		{"compose", "/compose"},
		{"compose-reply", fmt.Sprintf("/compose?re=%d&how=all", o.entry(t, "budget-1@"))},
		{"compose-personal", fmt.Sprintf("/compose?re=%d&how=reply", o.entry(t, "<dinner@"))},
		{"compose-forward", fmt.Sprintf("/compose?re=%d&how=forward", o.entry(t, "offer-2027"))},
		{"wall", "/compose"},
		{"picking", "/"},
		{"reminders", "/reminders"},
		{"open", "/open"},
		{"settings", "/settings"},
		{"security", "/settings/security"},
		{"rename", "/settings/security"},
		{"totp", "/settings/security"},
		{"apps", "/settings/apps"},
		{"secret", "/settings/apps"},
		{"sessions", "/settings/sessions"},
		{"admin", "/admin"},
		{"admin-account", "/admin/accounts/2"},
		{"admin-domains", "/admin/domains"},
		{"admin-queue", "/admin/queue"},
		{"admin-health", "/admin/health"},
		{"sign-in", "/sign-in"},
		{"recover", "/recover"},
	}
	// What has to be done on a page before its picture is taken.
	before := map[string]func(){
		"wall": func() {
			b.Click(".as-one[data-class=personal]")
			b.Types("#to", "Miriam Calder <miriam@orchard.example>,")
			b.Types("#subject", "Article 4")
			b.Types("#text", "Dear Miriam, the office accepts it.")
			b.Click("#send")
			b.Sees("#wall:modal")
		},
		"picking": func() {
			b.Click("#rows li:nth-child(2) .row-pick input")
			b.Click("#rows li:nth-child(4) .row-pick input")
		},
		"rename": func() { b.Click(".line-menu summary") },
		"totp":   func() { b.Follow("form[action='/settings/totp/begin'] button") },
		"secret": func() {
			b.Types("input[name=label]", "Thunderbird")
			b.Follow("form[action='/settings/apps'] .button-main")
		},
	}
	for _, lang := range []string{"ar", "en"} {
		for _, size := range []string{"desk", "phone"} {
			for _, dark := range []bool{false, true} {
				b.Device(1280, 800, dark)
				if size == "phone" {
					b.Device(390, 844, dark)
				}
				b.Enter(records, password, lang)
				for _, p := range pages {
					name := fmt.Sprintf("%s-%s-%s%s.png", p.name, size, lang, map[bool]string{true: "-dark"}[dark])
					if ok, _ := filepath.Match(only, name); only != "" && !ok {
						continue
					}
					if p.name == "sign-in" {
						webtest.Ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
					}
					b.GoTo(p.path)
					if do := before[p.name]; do != nil {
						do()
					}
					time.Sleep(450 * time.Millisecond)
					if err := os.WriteFile(filepath.Join(into, name), b.Picture(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}
