package web

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// tab is a tab of a Chromium of its own.
type tab struct {
	testing.TB
	ctx  context.Context
	home string

	mu         sync.Mutex
	complaints []string // What the browser found wrong; guarded by mu.
}

type act = chromedp.Action[chromedp.Void]

// chromium is the browser that all tests share; each has a tab with cookies of
// its own. It is started by the first test that wants it.
var chromium struct {
	once  sync.Once
	ctx   context.Context
	close func()
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.close != nil {
		chromium.close()
	}
	os.Exit(code)
}

func startChromium() {
	c := &chromium
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		return
	}
	dir, err := os.MkdirTemp("", "sijill-chromium-")
	if err != nil {
		c.err = err
		return
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	c.ctx = ctx
	c.close = func() {
		chromedp.Cancel(ctx)
		cancel()
		stop()
		os.RemoveAll(dir) // What is left is in the system's temporary folder.
	}
	c.err = chromedp.Do(ctx)
}

// browse opens a tab, and skips the test where there's no Chromium.
func browse(tb testing.TB, home string) *tab {
	tb.Helper()
	chromium.once.Do(startChromium)
	if chromium.err != nil {
		tb.Fatalf("starting Chromium: %v", chromium.err)
	}
	if chromium.ctx == nil {
		tb.Skip("no Chromium here: the pages are not tried in a browser")
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	tb.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("opening a tab: %v", err)
	}
	b := &tab{TB: tb, ctx: ctx, home: home}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		tb.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, audits.Enable, cdp.Empty{})
		if err == nil {
			_, err = cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		}
		return err
	}))
	return b
}

// listen keeps breaches of the policy, exceptions of scripts, and whatever the
// browser logs as an error.
func (b *tab) listen(event any) {
	var said string
	switch e := event.(type) {
	case *audits.EventIssueAdded:
		if e.Issue.Code != audits.InspectorIssueCodeContentSecurityPolicyIssue {
			return
		}
		d := e.Issue.Details.ContentSecurityPolicyIssueDetails
		said = "policy: " + d.ViolatedDirective + " " + d.BlockedURL
	case *runtime.EventExceptionThrown:
		said = "script: " + e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			said += " " + x.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelError {
			return
		}
		said = "log: " + e.Entry.Text + " " + e.Entry.URL
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, said)
}

// quiet fails the test for whatever the browser found wrong since the last time.
func (b *tab) quiet() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.Error("the browser complains: " + c)
	}
	b.complaints = nil
}

// do does what a reader does. Whatever takes longer than 15 seconds has failed.
func (b *tab) do(actions ...act) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		if into := os.Getenv("SIJILL_LOOK"); into != "" {
			shot, _ := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			os.WriteFile(filepath.Join(into, "failed.png"), shot, 0o644)
		}
		b.Fatalf("at %s: %v", where, err)
	}
}

func (b *tab) goTo(path string) { b.Helper(); b.do(chromedp.Navigate(b.home + path)) }

func (b *tab) click(css string) { b.Helper(); b.do(chromedp.Click(chromedp.CSS(css))) }

// follow clicks on what leads to another page, and waits for it.
func (b *tab) follow(css string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(css))); err != nil {
		b.Fatalf("following %s: %v", css, err)
	}
}

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
	b.follow(".languages button[value=" + lang + "]")
	b.types("#address", address)
	b.types("#password", password+"\r")
	b.sees("#rows")
}
