package web

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// tab is a tab of a Chromium of its own.
type tab struct {
	testing.TB
	ctx  context.Context
	home string
}

type act = chromedp.Action[chromedp.Void]

// browse opens a tab, and skips the test where there's no Chromium.
func browse(tb testing.TB, home string) *tab {
	tb.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		tb.Skip("no Chromium here: the pages are not tried in a browser")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(tb.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	tb.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	tb.Cleanup(func() {
		chromedp.Cancel(ctx)
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("starting Chromium: %v", err)
	}
	return &tab{tb, ctx, home}
}

// do does what a reader does. Whatever takes longer than 15 seconds has failed.
func (b *tab) do(actions ...act) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		b.Fatalf("at %s: %v", where, err)
	}
}

func (b *tab) goTo(path string) { b.Helper(); b.do(chromedp.Navigate(b.home + path)) }

func (b *tab) click(css string) { b.Helper(); b.do(chromedp.Click(chromedp.CSS(css))) }

func (b *tab) sees(css string) { b.Helper(); b.do(chromedp.WaitVisible(chromedp.CSS(css))) }

func (b *tab) types(css, text string) {
	b.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(css), text))
}

func (b *tab) press(keys string) { b.Helper(); b.do(chromedp.KeyEvent(keys)) }

// until waits for an expression to hold.
func (b *tab) until(js string) {
	b.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(25 * time.Millisecond) {
		if ask[bool](b, js) {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("never came to be: %s", js)
		}
	}
}

// ask gives the value of an expression, awaited.
func ask[T any](b *tab, js string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("evaluating %.200s: %v", js, err)
	}
	return v
}

// device sets the size of the window and the scheme of colours.
func (b *tab) device(width, height int64, dark bool) {
	b.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	opts := []chromedp.EmulateViewportOption{}
	if width < 500 {
		opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.do(chromedp.EmulateViewport(width, height, opts...), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// enter signs in on the page, in a language.
func (b *tab) enter(address, lang string) {
	b.Helper()
	b.goTo("/sign-in")
	ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
	b.goTo("/sign-in")
	b.click(".languages button[value=" + lang + "]")
	b.sees("html[lang=" + lang + "] #address")
	b.types("#address", address)
	b.types("#password", password+"\r")
	b.sees("#rows")
}
