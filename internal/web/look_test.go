package web

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestLook takes pictures of the pages, for people to look at, into the folder
// that SIJILL_LOOK names.
func TestLook(t *testing.T) {
	into := os.Getenv("SIJILL_LOOK")
	if into == "" {
		t.Skip("SIJILL_LOOK names no folder for pictures")
	}
	o := newOffice(t, "127.0.0.1:9")
	b := browse(t, o.URL)
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
		{"sign-in", "/sign-in"},
	}
	for _, lang := range []string{"ar", "en"} {
		for _, size := range []string{"desk", "phone"} {
			for _, dark := range []bool{false, true} {
				b.device(1280, 800, dark)
				if size == "phone" {
					b.device(390, 844, dark)
				}
				b.enter(records, lang)
				for _, p := range pages {
					name := fmt.Sprintf("%s-%s-%s%s.png", p.name, size, lang, map[bool]string{true: "-dark"}[dark])
					if ok, _ := filepath.Match(only, name); only != "" && !ok {
						continue
					}
					if p.name == "sign-in" {
						ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
					}
					b.goTo(p.path)
					time.Sleep(450 * time.Millisecond)
					shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(into, name), shot, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}
