package imapd

import (
	"slices"
	"sort"

	"sijill/internal/mailbox"

	"github.com/emersion/go-imap/v2"
)

// uidList is the numbering of a selected folder as its client knows it: the
// message with sequence number n has the nth UID. UIDs of a folder mostly
// follow each other, so it is kept as runs; a thousand idle connections would
// otherwise hold a thousand copies of a large folder.
type uidList struct {
	runs []run  // may be others' too; never changed, but appended to or replaced
	n    uint32 // how many there are
}

// run is a row of UIDs without a gap; it goes on to where the next one begins.
type run = mailbox.Run

// span is a range of sequence numbers, both ends within.
type span struct{ first, last uint32 }

// length is how many messages run i has.
func (l *uidList) length(i int) uint32 {
	if i+1 < len(l.runs) {
		return l.runs[i+1].Seq - l.runs[i].Seq
	}
	return l.n + 1 - l.runs[i].Seq
}

// add puts a UID at the end. One that isn't above the last is left out: its
// message could not be numbered without moving others.
func (l *uidList) add(uid uint32) bool {
	last := l.last()
	if uid <= last {
		return false
	}
	l.n++
	if l.n == 1 || uid != last+1 {
		l.runs = append(l.runs, run{UID: uid, Seq: l.n})
	}
	return true
}

// last is the highest UID, 0 in an empty folder.
func (l *uidList) last() uint32 {
	if l.n == 0 {
		return 0
	}
	i := len(l.runs) - 1
	return l.runs[i].UID + l.length(i) - 1
}

// at returns the UID of a sequence number from 1 to n.
func (l *uidList) at(seq uint32) uint32 {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].Seq > seq }) - 1
	return l.runs[i].UID + seq - l.runs[i].Seq
}

// from returns the lowest sequence number whose UID is uid or above; n+1 where
// there is none.
func (l *uidList) from(uid uint32) uint32 {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].UID > uid }) - 1
	if i < 0 {
		return 1
	}
	return l.runs[i].Seq + min(uid-l.runs[i].UID, l.length(i))
}

// seq returns the sequence number of a UID.
func (l *uidList) seq(uid uint32) (uint32, bool) {
	n := l.from(uid)
	return n, n <= l.n && l.at(n) == uid
}

// remove takes UIDs out and returns the sequence numbers they had, highest
// first: EXPUNGE responses in that order need no counting along. UIDs that are
// not in the list are passed over.
func (l *uidList) remove(uids []uint32) []uint32 {
	var seqs []uint32
	for _, uid := range uids {
		if n, ok := l.seq(uid); ok {
			seqs = append(seqs, n)
		}
	}
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	if len(seqs) == 0 {
		return nil
	}
	var kept uidList
	next := 0
	for i, r := range l.runs {
		for k := range l.length(i) {
			if next < len(seqs) && seqs[next] == r.Seq+k {
				next++
				continue
			}
			kept.add(r.UID + k)
		}
	}
	*l = kept
	slices.Reverse(seqs)
	return seqs
}

// numbers turns a sequence set into spans of messages that there are. ok is
// false when the set names one that there isn't; "*" always may (RFC 9051,
// section 9, seq-number).
func (l *uidList) numbers(set imap.SeqSet) (spans []span, ok bool) {
	ok = true
	for _, r := range set {
		first, last := r.Start, r.Stop
		if first == 0 {
			first = l.n
		}
		if last == 0 {
			last = l.n
		}
		first, last = min(first, last), max(first, last)
		if last > l.n && r.Stop != 0 {
			ok = false
			if first > l.n {
				continue
			}
		}
		first, last = min(first, l.n), min(last, l.n)
		if first > 0 {
			spans = append(spans, span{first, last})
		}
	}
	return merge(spans), ok
}

// uids turns a UID set into spans. UIDs that there aren't are passed over
// (RFC 9051, section 6.4.9).
func (l *uidList) uids(set imap.UIDSet) (spans []span) {
	if l.n == 0 {
		return nil
	}
	top := l.last()
	for _, r := range set {
		first, last := uint32(r.Start), uint32(r.Stop)
		if first == 0 {
			first = top
		}
		if last == 0 {
			first, last = min(first, top), top // "n:*" has the last message, whatever n is
		}
		a, b := l.from(first), l.from(last)
		if b > l.n || l.at(b) != last {
			b--
		}
		if a <= b && a <= l.n {
			spans = append(spans, span{a, b})
		}
	}
	return merge(spans)
}

// each calls f with every message of a span of numbers that there are.
func (l *uidList) each(s span, f func(seq, uid uint32)) {
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].Seq > s.first }) - 1
	for seq := s.first; seq <= s.last; seq++ {
		if i+1 < len(l.runs) && l.runs[i+1].Seq == seq {
			i++
		}
		f(seq, l.runs[i].UID+seq-l.runs[i].Seq)
	}
}

// merge sorts spans and joins those that touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return int(int64(a.first) - int64(b.first)) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}

// set makes a UID set of the messages in spans.
func (l *uidList) set(spans []span) imap.UIDSet {
	var set imap.UIDSet
	for _, s := range spans {
		for seq := s.first; seq <= s.last; {
			i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].Seq > seq }) - 1
			end := min(s.last, l.runs[i].Seq+l.length(i)-1)
			set = append(set, imap.UIDRange{Start: imap.UID(l.at(seq)), Stop: imap.UID(l.at(end))})
			seq = end + 1
		}
	}
	return set
}
