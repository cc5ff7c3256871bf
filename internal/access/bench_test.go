package access

import (
	"testing"

	"sijill/internal/people"
)

// BenchmarkResume is what every request of the web costs.
func BenchmarkResume(b *testing.B) {
	o := newOffice(b)
	s, _ := o.person()
	for b.Loop() {
		r, err := o.Resume(b.Context(), s.Token)
		o.must(err)
		r.Close()
	}
}

// BenchmarkApplication is what every connection of a mail program costs.
func BenchmarkApplication(b *testing.B) {
	o := newOffice(b)
	s, _ := o.person()
	n, err := o.MakeAppPassword(b.Context(), s, "phone", people.ScopeBoth, by(s))
	o.must(err)
	for b.Loop() {
		c, err := o.Application(b.Context(), "layla", n.Password, "imap", from)
		o.must(err)
		if !c.Open() {
			b.Fatal("closed")
		}
		c.Close()
	}
}

// BenchmarkSignInAndOut is all but hashing the password, which takes as long as it
// is meant to.
func BenchmarkSignInAndOut(b *testing.B) {
	o := newOffice(b)
	o.person()
	for b.Loop() {
		s, err := o.SignIn(b.Context(), layla, password, "", from, agent)
		o.must(err)
		o.must(o.SignOut(b.Context(), s.Token))
	}
}
