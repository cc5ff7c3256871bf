package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// letterSize is about how long letters are.
const letterSize = 10 << 10

// letter is one to be sent.
type letter struct {
	from, to string
	raw      []byte
}

// plain is a letter of about size octets, with CRLF.
func plain(from, to string, n, size int) letter {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Author %d <%s>\r\nTo: <%s>\r\nSubject: letter %d of the season\r\nDate: %s\r\nMessage-ID: <%d.%d@%s>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", n, from, to, n, time.Now().UTC().Format(time.RFC1123Z), n, time.Now().UnixNano(), "bench.example")
	for i := uint64(n) + 1; b.Len() < size; i = i*6364136223846793005 + 1442695040888963407 {
		fmt.Fprintf(&b, "The committee of letter %d met about %x, and about %x as well.\r\n", n, i>>40, i>>20&0xfffff)
	}
	return letter{from, to, b.Bytes()}
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

// signed are n letters of several authors to one address.
func signed(list []author, to string, n int) (letters []letter, err error) {
	for i := range n {
		a := list[i%len(list)]
		l, err := a.sign(plain("scribe@"+a.domain, to, i, letterSize-500))
		if err != nil {
			return nil, err
		}
		letters = append(letters, l)
	}
	return letters, nil
}
