package smtpd

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"

	"sijill/internal/message"
)

// Where another program reads the header, it reads the same author, and finds
// no recipient that is to be hidden.
func FuzzReadHeader(f *testing.F) {
	for _, seed := range []string{
		outgoingText, "From: a@b\r\n\r\n", "From: a@b\r\nFrom: c@d\r\n\r\n", "From: a@b, c@d\r\n\r\n", "\r\nFrom: a@b\r\n\r\n",
		"From: x <a@b>\r\n (c@d)\r\nBcc: e@f\r\n\r\n", "from:a@b\r\nX\r\n\r\nBcc: y", "From: \"c@d\" <a@b>\r\nSender: e@f\r\n\r\n", "From: G: a@b;\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if inspect(raw) != nil {
			return
		}
		hops(raw)
		h, r := readHeader(raw)
		if r != nil {
			return
		}
		if h.from == "" {
			t.Error("no author")
		}
		sent := message.RemoveFields(raw, "Bcc", "Resent-Bcc", "Return-Path")
		other, err := mail.ReadMessage(bytes.NewReader(sent))
		if err != nil {
			return
		}
		if n := len(other.Header["From"]); n != 1 {
			t.Errorf("another program reads %d From fields", n)
		}
		if len(other.Header["Bcc"]) != 0 {
			t.Error("another program reads Bcc")
		}
		if from, err := other.Header.AddressList("From"); err == nil && !strings.ContainsAny(other.Header.Get("From"), "=\"(\\:") && (len(from) != 1 || from[0].Address != h.from) {
			t.Errorf("another program reads %v, we %q", from, h.from)
		}
	})
}
