package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	prng "math/rand"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"sijill/internal/mailauth"
)

// letterSize is about how long letters are.
const letterSize = 10 << 10

// letter is one to be sent.
type letter struct {
	from, to string
	raw      []byte
	wire     []byte // raw as it goes over the wire; nil where that is made when it is sent
}

// plain is a letter of about size octets, with CRLF.
func plain(from, to string, n, size int) letter {
	b := head(from, to, n)
	for i := uint64(n) + 1; b.Len() < size; i = i*6364136223846793005 + 1442695040888963407 {
		fmt.Fprintf(b, "The committee of letter %d met about %x, and about %x as well.\r\n", n, i>>40, i>>20&0xfffff)
	}
	return letter{from: from, to: to, raw: b.Bytes()}
}

func head(from, to string, n int) *bytes.Buffer {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Author %d <%s>\r\nTo: <%s>\r\nSubject: letter %d of the season\r\nDate: %s\r\nMessage-ID: <%d.%d@%s>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", n, from, to, n, time.Now().UTC().Format(time.RFC1123Z), n, time.Now().UnixNano(), "bench.example")
	return &b
}

// vocabulary is how many words the letters of prose are made of.
const vocabulary = 50_000

// prose is a letter of about size octets whose words are as often as those of a
// language, by Zipf's law: some 600 different ones in 10 KB, where the mail of
// enron.mbox has 540, and now and then a number that stands nowhere else.
func prose(from, to string, n, size int) letter {
	b := head(from, to, n)
	r := prng.New(prng.NewSource(int64(n)))
	words := prng.NewZipf(r, zipfS, zipfV, vocabulary-1)
	for line := 0; b.Len() < size; {
		word := spell(words.Uint64())
		if r.Intn(200) == 0 {
			word = fmt.Sprint(r.Int31())
		}
		b.WriteString(word)
		if line += len(word) + 1; line < 66 {
			b.WriteByte(' ')
			continue
		}
		b.WriteString("\r\n")
		line = 0
	}
	b.WriteString("\r\n")
	return letter{from: from, to: to, raw: b.Bytes()}
}

// How steep the law is, and how flat where it begins.
const zipfS, zipfV = 1.3, 5

// spell makes a word of a number: the smaller, the shorter.
func spell(n uint64) string {
	var b strings.Builder
	if n >= 10 {
		b.WriteByte("aeiou"[n/10%5])
	}
	for n += 60; n > 0; n /= 70 {
		b.WriteByte("bdfghklmnprstz"[n%70/5])
		b.WriteByte("aeiou"[n%5])
	}
	return b.String()
}

// author is a domain that signs its mail.
type author struct {
	domain, selector string
	key              *rsa.PrivateKey
}

// authors makes n of them, with the records that a careful domain has.
func authors(n int) (list []author, records []string, err error) {
	for i := range n {
		a := author{domain: fmt.Sprintf("d%d.example", i), selector: "s2026"}
		if a.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, nil, err
		}
		public, err := x509.MarshalPKIXPublicKey(&a.key.PublicKey)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, a)
		records = append(records,
			txt(a.domain, "v=spf1 include:_spf."+a.domain+" mx -all"),
			txt("_spf."+a.domain, "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 ip4:127.0.0.0/8 ip6:2001:db8::/32 -all"),
			txt(a.selector+"._domainkey."+a.domain, "v=DKIM1; k=rsa; p="+base64.StdEncoding.EncodeToString(public)),
			txt("_dmarc."+a.domain, "v=DMARC1; p=reject; adkim=s; aspf=r; rua=mailto:dmarc@"+a.domain),
		)
		records = append(records, exchange(a.domain)...)
	}
	return list, records, nil
}

// exchange are the records by which mail to a domain comes to this machine.
func exchange(domain string) []string {
	return []string{domain + ". 3600 IN MX 10 mx." + domain + ".", "mx." + domain + ". 3600 IN A 127.0.0.1"}
}

// sign signs a letter as its author's domain does.
func (a author) sign(l letter) (letter, error) {
	var b bytes.Buffer
	err := dkim.Sign(&b, bytes.NewReader(l.raw), &dkim.SignOptions{
		Domain: a.domain, Selector: a.selector, Signer: a.key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
		HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"},
	})
	l.raw = b.Bytes()
	return l, err
}

// forwarder passes letters on, with an ARC set of its own (RFC 8617).
type forwarder struct{ sealer mailauth.Sealer }

// newForwarder also gives the record of its key.
func newForwarder(domain string) (f forwarder, record string, err error) {
	key, err := mailauth.GenerateKey(mailauth.RSA, "arc2026")
	if err != nil {
		return f, "", err
	}
	public, err := key.Record(domain)
	f.sealer = mailauth.Sealer{Domain: domain, Key: key}
	return f, txt(strings.TrimSuffix(public.Name, "."), public.Text), err
}

// pass seals a signed letter as one that came to the forwarder as it should.
func (f forwarder) pass(l letter) (letter, error) {
	set, err := f.sealer.Seal(l.raw, mailauth.Chain{Result: mailauth.None}, f.sealer.Domain+"; spf=pass; dkim=pass; dmarc=pass", time.Now())
	l.raw = append(set, l.raw...)
	return l, err
}

// sealedEvery says that one letter in so many was passed on by a forwarder.
const sealedEvery = 10

// signed are n letters of several authors to one address, ready to be sent.
func signed(list []author, by forwarder, to string, n int) (letters []letter, err error) {
	for i := range n {
		a := list[i%len(list)]
		l, err := a.sign(prose("scribe@"+a.domain, to, i, letterSize-500))
		if err == nil && (i+i/sealedEvery)%sealedEvery == 0 { // of each author some
			l, err = by.pass(l)
		}
		if err != nil {
			return nil, err
		}
		l.wire = slices.Clip(stuffed(l.raw))
		letters = append(letters, l)
	}
	return letters, nil
}
