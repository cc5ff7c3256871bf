package imapd

import (
	"sort"

	"sijill/internal/mailbox"

	"github.com/emersion/go-imap/v2"
)

const (
	batchSize = 5000 // messages that are looked up together
	listSize  = 1000 // of which lists are answered from summaries
	readySize = 500  // messages that are readied to be opened together
	nearby    = 64   // UIDs between two ranges that are read in one piece
)

// expungeIssued is the code of RFC 5530 for messages that another session
// removed.
const expungeIssued imap.ResponseCode = "EXPUNGEISSUED"

// numbered is a message of the selected folder.
type numbered struct {
	seq      uint32
	place    mailbox.Place
	told     bool           // its flags changed and are to be told
	envelope *imap.Envelope // made ahead; nil if it wasn't
}

// resolve finds the messages that a set names: numbers of the folder as the
// client knows it. A sequence number that there isn't is the client's fault.
func (s *session) resolve(set imap.NumSet) ([]span, error) {
	l := &s.sel.uids
	if imap.IsSearchRes(set) {
		if set = s.g.longSet(); set == nil {
			return l.uids(s.saved), nil
		}
	}
	if uids, ok := set.(imap.UIDSet); ok {
		return l.uids(uids), nil
	}
	seqs, _ := set.(imap.SeqSet)
	spans, ok := l.numbers(seqs)
	if !ok {
		return nil, &imap.Error{Type: imap.StatusResponseTypeBad, Code: imap.ResponseCodeClientBug, Text: "There is no message with that number"}
	}
	return spans, nil
}

// each calls f with the messages of spans in order, about size at a time. missing
// is how many of them are not there any more.
func (s *session) each(spans []span, size int, f func([]numbered) error) (missing int, err error) {
	l := &s.sel.uids
	var batch []numbered
	want := 0
	for len(spans) > 0 {
		part := cut(&spans, l, size)
		places, err := s.user.Places(s.ctx, s.sel.folder.ID, int64(l.at(part[0].first)), int64(l.at(part[len(part)-1].last)))
		if err != nil {
			return 0, err
		}
		had := len(batch)
		batch = l.number(batch, part, places)
		for _, p := range part {
			want += int(p.last - p.first + 1)
		}
		missing += want - (len(batch) - had)
		want = 0
		if len(batch) >= size || len(spans) == 0 {
			if err := f(batch); err != nil {
				return 0, err
			}
			batch = batch[:0]
		}
	}
	return missing, nil
}

// count is how many messages spans have.
func count(spans []span) (n int) {
	for _, s := range spans {
		n += int(s.last - s.first + 1)
	}
	return n
}

// cut takes spans from the front that lie near each other, up to size messages.
func cut(spans *[]span, l *uidList, size int) []span {
	var part []span
	room := uint32(size)
	for len(*spans) > 0 && room > 0 {
		next := &(*spans)[0]
		if n := len(part); n > 0 && l.at(next.first)-l.at(part[n-1].last) > nearby {
			break
		}
		take := min(room, next.last-next.first+1)
		part = append(part, span{next.first, next.first + take - 1})
		room -= take
		if next.first += take; next.first > next.last {
			*spans = (*spans)[1:]
		}
	}
	return part
}

// number appends the places whose messages are in part. Both are in order.
func (l *uidList) number(batch []numbered, part []span, places []mailbox.Place) []numbered {
	for _, sp := range part {
		first, last := int64(l.at(sp.first)), int64(l.at(sp.last))
		i := sort.Search(len(places), func(i int) bool { return places[i].UID >= first })
		for ; i < len(places) && places[i].UID <= last; i++ {
			if seq, ok := l.seq(uint32(places[i].UID)); ok {
				batch = append(batch, numbered{seq: seq, place: places[i]})
			}
		}
	}
	return batch
}

// collect returns the messages of spans.
func (s *session) collect(spans []span) (all []numbered, missing int, err error) {
	missing, err = s.each(spans, batchSize, func(batch []numbered) error {
		all = append(all, batch...)
		return nil
	})
	return all, missing, err
}

func uidsOf(batch []numbered) []int64 {
	all := make([]int64, len(batch))
	for i := range batch {
		all[i] = batch[i].place.UID
	}
	return all
}

// incomplete is the answer to a command that found all but messages which
// another session removed (RFC 5530). UID commands pass over these.
func incomplete(set imap.NumSet, missing int) error {
	if _, uids := set.(imap.UIDSet); uids || missing == 0 {
		return nil
	}
	return &imap.Error{Type: imap.StatusResponseTypeOK, Code: expungeIssued, Text: "Some of the messages are not there any more"}
}
