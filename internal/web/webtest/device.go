package webtest

import (
	"context"
	"os"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Device sets the size of the window, in pixels, and the scheme of colours. What
// is narrower than 500 is a phone.
func (b *Tab) Device(width, height int64, dark bool) {
	b.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	opts := []chromedp.EmulateViewportOption{}
	if width < 500 {
		opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.Do(chromedp.EmulateViewport(width, height, opts...), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// WithoutScript lets no page run a script.
func (b *Tab) WithoutScript() {
	b.Helper()
	b.Do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

// Authenticator gives the tab an authenticator that keeps passkeys, has PRF, and
// always consents.
func (b *Tab) Authenticator() {
	b.Helper()
	b.Do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: "ctap2", Ctap2version: "ctap2_1", Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, HasPrf: true, AutomaticPresenceSimulation: true,
		}})
		return err
	}))
}

// Picture is what the tab shows, as PNG.
func (b *Tab) Picture() []byte {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.failed(err)
	}
	return shot
}

// Axe reads axe-core, relative to the top of the repository, or skips the test.
func Axe(tb interface{ Skip(...any) }, top string) string {
	axe, err := os.ReadFile(top + "/node_modules/axe-core/axe.min.js")
	if err != nil {
		tb.Skip("no axe-core here (npm ci brings it): the pages are not checked for accessibility")
	}
	return string(axe)
}

// Accessible has axe-core look at the page; as says in errors which one it is.
func (b *Tab) Accessible(axe, as string) {
	b.Helper()
	found := Ask[[]string](b, axe+`; axe.run(document, {iframes: false, resultTypes: ["violations"]}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.html.slice(0, 160) + " " + (n.any[0] || n.all[0] || n.none[0] || {}).message)))`)
	for _, f := range found {
		b.Errorf("%s: %s", as, f)
	}
}

// Enter signs in on the page, in a language. Whoever was signed in before in this
// tab isn't any more.
func (b *Tab) Enter(name, password, lang string) {
	b.Helper()
	b.Leave()
	b.GoTo("/sign-in")
	b.Follow(".languages button[value=" + lang + "]")
	b.Types("#address", name)
	b.Types("#password", password+"\r")
	b.Sees("#rows, .nothing, input[name=again]") // One's mail, or a password of one's own before that.
}

// Leave signs out.
func (b *Tab) Leave() {
	b.Helper()
	b.GoTo("/sign-in")
	Ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
}
