package message

import (
	"strings"
	"testing"
)

// plainMail is of the size of the average message in the Enron collection.
var plainMail = []byte(strings.ReplaceAll(`Message-ID: <18782981.1075855378110.register@diwan.example>
Date: Mon, 14 May 2001 16:39:00 -0700 (PDT)
From: "Haddad, Layla" <layla.haddad@diwan.example>
To: omar.nasser@diwan.example, "Karim, Samir" <samir.karim@diwan.example>
Cc: archive@diwan.example
Subject: Re: Water rights of the eastern districts
References: <1@diwan.example> <2@diwan.example>
In-Reply-To: <2@diwan.example>
Mime-Version: 1.0
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit
X-Folder: \Layla\Sent
X-Origin: Haddad-L
Received: from gate.diwan.example by mx.diwan.example; Mon, 14 May 2001 16:39:05 -0700
Received: from desk.diwan.example by gate.diwan.example; Mon, 14 May 2001 16:39:02 -0700

`, "\n", "\r\n") + strings.Repeat("The survey of the canals is complete and the figures are below.\r\n", 42))

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(plainMail)))
	b.ReportAllocs()
	for b.Loop() {
		Parse(plainMail)
	}
}

func BenchmarkText(b *testing.B) {
	m := Parse(plainMail)
	b.ReportAllocs()
	for b.Loop() {
		m.Text()
	}
}

func BenchmarkFields(b *testing.B) {
	m := Parse(plainMail)
	b.ReportAllocs()
	for b.Loop() {
		m.Subject()
		m.From()
		m.To()
		m.Cc()
		m.MessageID()
		m.References()
		m.Date()
		m.Attachments()
	}
}

// BenchmarkEnron parses real mail and reads its text, as indexing does.
func BenchmarkEnron(b *testing.B) {
	var all [][]byte
	size := 0
	messages(b, corpus(b, "enron.mbox.zst"), func(m []byte) {
		if len(all) < 4000 {
			all = append(all, m)
			size += len(m)
		}
	})
	for _, text := range []bool{false, true} {
		name := map[bool]string{false: "parse", true: "parse and text"}[text]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size / len(all)))
			i := 0
			for b.Loop() {
				m := Parse(all[i%len(all)])
				if text {
					m.Text()
				}
				i++
			}
		})
	}
}
