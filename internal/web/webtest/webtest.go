// Package webtest drives pages in a real Chromium, as a reader does. All tests of
// a program share one browser, started by the first that wants it; each has a tab
// with cookies of its own, so that tests may run side by side. Where there is no
// Chromium, the tests that want one are skipped.
package webtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience bounds what a tab does, and every wait in it.
const Patience = 15 * time.Second

// Action is something done in a tab.
type Action = chromedp.Action[chromedp.Void]

// Tab is a tab of the browser. Whatever fails in it fails the test.
type Tab struct {
	testing.TB
	Home string // The site's address, that paths are added to.

	ctx        context.Context
	mu         sync.Mutex
	complaints []string // What the browser found wrong; guarded by mu.
}

// chromium is the browser that all tests share.
var chromium struct {
	mu    sync.Mutex // Guards what follows.
	begun bool
	ctx   context.Context
	end   func()
	err   error
}

// Close ends the browser, if there is one. It is called when all tests that open
// tabs have ended.
func Close() {
	c := &chromium
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		c.end()
	}
	c.begun, c.ctx, c.end, c.err = false, nil, nil, nil
}

// browser is the shared one; nil where there is none.
func browser() (context.Context, error) {
	c := &chromium
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		c.begun = true
		c.ctx, c.end, c.err = start()
	}
	return c.ctx, c.err
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func start() (context.Context, func(), error) {
	path := find()
	if path == "" {
		return nil, nil, nil
	}
	dir, err := os.MkdirTemp("", "sijill-chromium-")
	if err != nil {
		return nil, nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	end := func() {
		chromedp.Cancel(ctx)
		cancel()
		stop()
		os.RemoveAll(dir) // What is left is in the system's temporary folder.
	}
	return ctx, end, chromedp.Do(ctx)
}

// Open opens a tab for the site at home, "http://host:port"; it is closed when
// the test ends.
func Open(tb testing.TB, home string) *Tab {
	tb.Helper()
	shared, err := browser()
	if err != nil {
		tb.Fatalf("starting Chromium: %v", err)
	}
	if shared == nil {
		tb.Skip("no Chromium here: the pages are not tried in a browser")
	}
	ctx, cancel := chromedp.NewContext(shared, chromedp.WithNewBrowserContext())
	tb.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		tb.Fatalf("opening a tab: %v", err)
	}
	b := &Tab{TB: tb, ctx: ctx, Home: home}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		tb.Fatal(err)
	}
	b.Do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
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
func (b *Tab) listen(event any) {
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
	case *page.EventJavascriptDialogOpening: // "Leave this page?" Yes.
		go b.consent()
		return
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

// consent answers the browser's own question. Where that fails, what waits for the
// answer fails.
func (b *Tab) consent() {
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	_ = chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		return err
	}))
}

// Quiet fails the test for whatever the browser found wrong since the last time.
func (b *Tab) Quiet() {
	b.Helper()
	for _, c := range b.Complaints() {
		b.Error("the browser complains: " + c)
	}
}

// Complaints is what the browser found wrong since the last time.
func (b *Tab) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.complaints
	b.complaints = nil
	return list
}

// Do does what a reader does.
func (b *Tab) Do(actions ...Action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.failed(err)
	}
}

// failed ends the test. Where SIJILL_LOOK names a folder, a picture is left there.
func (b *Tab) failed(why any) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	where, _ := chromedp.Run(ctx, chromedp.Location())
	if into := os.Getenv("SIJILL_LOOK"); into != "" {
		shot, _ := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		_ = os.WriteFile(filepath.Join(into, "failed.png"), shot, 0o644) // The test fails anyway.
	}
	b.Fatalf("at %s: %v", where, why)
}

// Crash kills the tab as a failing browser would. Nothing can be done in it
// afterwards.
func (b *Tab) Crash() {
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
	defer cancel()
	_ = chromedp.Do(ctx, chromedp.Navigate("chrome://crash")) // It doesn't answer: it is dead.
}

// GoTo opens a page.
func (b *Tab) GoTo(path string) { b.Helper(); b.Do(chromedp.Navigate(b.Home + path)) }

// Click clicks on the first element that a selector finds; again on the next one
// where a fresh list has taken it away meanwhile.
func (b *Tab) Click(css string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	for {
		err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(css)))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "node with given id") {
			b.failed("clicking on " + css + ": " + err.Error())
		}
	}
}

// Follow clicks on what leads to another page, and waits for it.
func (b *Tab) Follow(css string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(css))); err != nil {
		b.failed("following " + css + ": " + err.Error())
	}
}

// Sees waits until an element is visible.
func (b *Tab) Sees(css string) { b.Helper(); b.Do(chromedp.WaitVisible(chromedp.CSS(css))) }

// Types types into a field.
func (b *Tab) Types(css, text string) {
	b.Helper()
	b.Do(chromedp.SendKeys(chromedp.CSS(css), text))
}

// Press presses keys where the focus is.
func (b *Tab) Press(keys string) { b.Helper(); b.Do(chromedp.KeyEvent(keys)) }

// Chord presses a key with Control.
func (b *Tab) Chord(key string) {
	b.Helper()
	b.Do(chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

// Until waits for an expression of JavaScript to hold.
func (b *Tab) Until(js string) { b.Helper(); b.Within(Patience, js) }

// Within is Until for what takes its time.
func (b *Tab) Within(d time.Duration, js string) {
	b.Helper()
	for end := time.Now().Add(d); ; time.Sleep(25 * time.Millisecond) {
		ok, err := evaluate[bool](b, js)
		if ok {
			return
		}
		if time.Now().After(end) {
			b.failed(fmt.Sprintf("never came to be: %s (%v)", js, err)) // There's an error while a page gives way to the next.
		}
	}
}

// Ask gives the value of an expression of JavaScript, awaited.
func Ask[T any](b *Tab, js string) T {
	b.Helper()
	v, err := evaluate[T](b, js)
	if err != nil {
		b.Fatalf("evaluating %.200s: %v", js, err)
	}
	return v
}

func evaluate[T any](b *Tab, js string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 2*Patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// Quote writes a string as JavaScript does.
func Quote(s string) string {
	b, _ := json.Marshal(s) // A string is always written.
	return string(b)
}
