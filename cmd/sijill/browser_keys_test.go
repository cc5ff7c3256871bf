package main

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/pquerna/otp/totp"

	"sijill/internal/web/webtest"
)

// secretLetter gives hind a personal message.
func (o *webOffice) secretLetter() int64 {
	o.Helper()
	return o.delivers(mailOf("private", "sender@abroad.example", hindHome), hindHome)
}

// personalIsOpen wants the personal inbox to be readable.
func personalIsOpen(b *webtest.Tab) {
	b.Helper()
	b.GoTo("/go/inbox?c=personal")
	read(b, "letter private")
	b.Until(`document.querySelector(".letter").textContent.includes("This is letter private")`)
}

// A passkey with PRF that was added while older mail was open signs in, opens
// personal mail by that, and older mail by a further touch.
func passkeysOpenMail(t *testing.T) {
	o := newWebOffice(t)
	o.secretLetter()
	b := o.blankTab()
	b.Authenticator()
	b.Enter(o.hind.name, o.hind.password, "ar")
	b.GoTo("/settings/security")
	b.Sees("#passkeys .notice-bad") // Without one, only the recovery code opens older mail.
	b.Follow("#deepen")
	b.Types("input[name=code]", o.hind.recovery)
	b.Follow("main form[action='/open'] .button")
	b.Types("#passkey-name", "حاسوبي")
	b.Follow("#passkey")
	b.Sees("#toast")
	b.Until(`document.querySelector("#passkeys .line-name").textContent === "حاسوبي" && document.querySelector("#passkeys .notice-bad") === null`)
	b.Leave()
	b.GoTo("/sign-in?back=/folders")
	b.Follow("#passkey")
	b.Sees(".folder-list")
	personalIsOpen(b)
	b.GoTo("/open")
	b.Follow("#passkey")
	b.Sees("#toast")
	b.Sees(".deep:not(.deep-shut)")
	b.Quiet()
}

// The recovery code opens older mail, and sets a new password that opens
// personal mail; the next code is then shown.
func codeOpensMail(t *testing.T) {
	o := newWebOffice(t)
	o.secretLetter()
	b := o.tab(o.hind, "en")
	b.GoTo("/open?back=/folders")
	b.Types("input[name=code]", "aaaa-bbbb\r")
	b.Sees("#wrong")
	b.GoTo("/open?back=/folders")
	b.Types("input[name=code]", o.hind.recovery)
	b.Follow("main form[action='/open'] .button")
	b.Sees(".deep:not(.deep-shut)")

	b.Leave()
	b.Complaints() // The wrong code was answered with an error, as it should.
	b.GoTo("/sign-in")
	b.Follow(".sign-forgot a")
	b.Sees(".loss")
	b.Types("input[name=address]", o.hind.name)
	b.Types("input[name=code]", o.hind.recovery)
	b.Types("input[name=password]", "chosen after forgetting")
	b.Types("input[name=again]", "chosen after forgetting")
	b.Follow("main .button-main")
	next := webtest.Ask[string](b, `document.querySelector("#secret").textContent`)
	if next == "" || next == o.hind.recovery {
		t.Errorf("the next code is no new one")
	}
	personalIsOpen(b)
	b.Enter(o.hind.name, "chosen after forgetting", "ar")
	personalIsOpen(b)
	b.Quiet()
}

// After an administrator's reset personal mail is closed, and says so; the
// administrator's tab reads none of it. The recovery code opens it again.
func resetClosesMail(t *testing.T) {
	o := newWebOffice(t)
	entry := o.secretLetter()
	before, admin := o.tab(o.hind, "en"), o.tab(o.laila, "en")
	admin.GoTo("/admin")
	admin.Follow(fmt.Sprintf("main a[href^='/admin/accounts/']:is([href='%s'])", webtest.Ask[string](admin, `[...document.querySelectorAll("main a[href^='/admin/accounts/']")].find(a => a.closest("tr, li").textContent.includes("`+hind+`")).getAttribute("href")`)))
	admin.Follow("button[value=reset]")
	admin.Follow(".confirm .button-bad")
	given := webtest.Ask[string](admin, `document.querySelector(".secret-code").textContent`)
	admin.GoTo(fmt.Sprintf("/m/%d", entry))
	admin.Until(`!document.body.textContent.includes("letter private")`)

	before.GoTo("/go/inbox?c=personal")
	before.Sees("#password") // Its session has ended.
	b := o.tab(credentials{name: o.hind.name, password: given}, "en")
	b.GoTo("/go/inbox?c=personal")
	b.Types("input[name=old]", given) // Nothing else is to be had before one's own password.
	b.Types("input[name=password]", "chosen after the reset")
	b.Types("input[name=again]", "chosen after the reset")
	b.Follow("main .button-main")
	b.GoTo("/go/inbox?c=personal")
	b.Sees(".row-closed")
	b.Sees(".deep-shut")
	b.Until(`!document.body.textContent.includes("letter private")`)
	b.Follow(".deep-shut")
	b.Sees(".notice-bad")
	b.Sees(".loss")
	b.Types("form[action='/open'] input[name=code]", o.hind.recovery)
	b.Follow("main form[action='/open'] .button")
	b.Sees(".deep:not(.deep-shut)")
	personalIsOpen(b)
	b.Quiet()
}

// codeOf is the code that an authenticator shows at a time.
func codeOf(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// An authenticator is set up, then asked for.
func codeOfAuthenticator(t *testing.T) {
	o := newWebOffice(t)
	b := o.tab(o.hind, "ar")
	b.GoTo("/settings/security")
	b.Follow("form[action='/settings/totp/begin'] button")
	b.Sees(".qr")
	secret := webtest.Ask[string](b, `document.querySelector("#totp input[name=secret]").value`)
	b.Types("#totp input[name=code]", codeOf(t, secret, time.Now()))
	b.Follow("#totp .button-main")
	b.Sees("form[action='/settings/totp/remove']")
	b.Leave()
	b.GoTo("/sign-in")
	b.Types("#address", o.hind.name)
	b.Types("#password", o.hind.password)
	b.Follow("form[action='/sign-in'] button")
	b.Sees("#code")
	b.Types("#password", o.hind.password)
	b.Types("#code", codeOf(t, secret, time.Now().Add(30*time.Second))) // The code before was used.
	b.Follow("form[action='/sign-in'] button")
	b.Sees("#list")
}

// makeApp makes an app password on the page, and gives the name and the password
// that the page says.
func makeApp(b *webtest.Tab, label, scope string) (name, password string) {
	b.Helper()
	b.GoTo("/settings/apps")
	b.Types("input[name=label]", label)
	b.Click("input[name=scope][value=" + scope + "]")
	b.Follow("form[action='/settings/apps'] .button-main")
	b.Sees("#secret")
	return webtest.Ask[string](b, `document.querySelector(".facts dd").textContent.trim()`), webtest.Ask[string](b, `document.querySelector("#secret").textContent`)
}

// mailboxes signs in by IMAP and lists the folders.
func (o *webOffice) mailboxes(name, password string) (names []string, err error) {
	o.Helper()
	c, err := imapclient.DialTLS(o.door("imaps"), &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		o.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(name, password).Wait(); err != nil {
		return nil, err
	}
	list, err := c.List("", "*", nil).Collect()
	for _, m := range list {
		names = append(names, m.Mailbox)
	}
	return names, err
}

// App passwords made on the page let a mail program in, to what they are for,
// until they are revoked.
func appPasswords(t *testing.T) {
	o := newWebOffice(t)
	b := o.tab(o.hind, "en")
	both, password := makeApp(b, "Phone", "both")
	names, err := o.mailboxes(both, password)
	if err != nil || !slices.Contains(names, "Office/Sent") || !slices.Contains(names, "Personal/Inbox") {
		t.Errorf("%s: %v, %v", both, names, err)
	}
	own, ownPassword := makeApp(b, "Tablet", "personal")
	if names, err = o.mailboxes(own, ownPassword); err != nil || own != hindHome || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "Office") }) {
		t.Errorf("%s: %v, %v", own, names, err)
	}
	if _, err = o.mailboxes(hind, ownPassword); err == nil {
		t.Error("a password for personal mail lets in to the office's")
	}
	b.GoTo("/settings/apps")
	line := func(label string) string {
		return `[...document.querySelectorAll(".lines li")].find(li => li.textContent.includes("` + label + `"))`
	}
	b.Until(line("Tablet") + `.querySelectorAll(".tag").length === 1 && ` + line("Phone") + `.querySelectorAll(".tag").length === 2 && ` + line("Phone") + `.textContent.includes("127.0.0")`)
	webtest.Ask[bool](b, `(`+line("Phone")+`.querySelector("button").id = "revoke", true)`)
	b.Follow("#revoke")
	b.Until(`document.querySelectorAll('form[action="/settings/apps/revoke"]').length === 2 && document.querySelectorAll('a[href^="/apple.mobileconfig?address="]').length === 2`) // The population's own, and the tablet's.
	if _, err = o.mailboxes(both, password); err == nil {
		t.Error("a password that was revoked lets in")
	}
	b.Quiet()
}

// Sessions are listed, and end when they are told to.
func sessionsEnd(t *testing.T) {
	o := newWebOffice(t)
	here, there := o.tab(o.hind, "en"), o.tab(o.hind, "ar")
	here.GoTo("/settings/sessions")
	here.Until(`document.querySelectorAll(".lines li").length === 2 && document.querySelectorAll(".line-here").length === 1 && document.querySelector(".line-name").textContent === "Chrome · Linux"`)
	here.Follow("form[action='/settings/sessions/end'] button")
	here.Until(`document.querySelectorAll(".lines li").length === 1`)
	there.GoTo("/folders")
	there.Sees("#password")
	here.GoTo("/folders")
	here.Sees(".folder-list")
	here.Quiet()
}
