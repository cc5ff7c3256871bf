// Package junk tells mail that nobody asked for from mail that somebody wants.
//
// It promises that a judge that fails lets mail in and says so; that nothing is
// decided here but where a message is filed, unless the caller heeds Reject;
// and that the work for one message is bounded whatever is in it.
//
// There are two judges: rspamd, asked over HTTP, and Bayes, which learns from
// what each person moves to and from the junk folder. Bayes keeps, for each
// account, in how many messages each word was, words only as keyed hashes in an
// encrypted database. Whoever has the database and its key can still guess
// words and look them up. They learn which words the mail has that a person
// filed, not in which message.
package junk

import (
	"context"
	"net/netip"
)

// Mail is a message to be judged and how it came.
type Mail struct {
	Account int64      // whose filter judges; 0 where no one's does
	Peer    netip.Addr // zero without an IP address
	Hello   string
	From    string // MAIL FROM; empty for the null sender
	To      []string
	Message []byte
}

// Result is what a judge says. The zero Result has no opinion.
type Result struct {
	// Known says that the judge has an opinion.
	Known bool
	// Junk says that it belongs into the junk folder.
	Junk bool
	// Reject and Defer say that the judge would not take it, for good or for
	// now.
	Reject, Defer bool
	// Score is what Junk rests on: a probability from 0 to 1 of Bayes, points
	// of rspamd.
	Score float64
	// Mark is one word for a record: the judge's action, or why it has none.
	Mark string
}

// Scorer judges messages. It is safe for concurrent use. Where Score returns an
// error, the Result has no opinion and a Mark that says so, and the mail is to
// be let in.
type Scorer interface {
	Score(ctx context.Context, m *Mail) (Result, error)
}
