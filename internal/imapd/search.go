package imapd

import (
	"slices"
	"strings"
	"time"

	"sijill/internal/mailbox"
	"sijill/internal/message"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Bounds on what one SEARCH may ask for.
const (
	maxKeys  = 500
	maxNests = 50
)

// hunt is one SEARCH under way. Messages are looked at as little as the keys
// need: the snapshot of the folder first, then the index, then summaries, and last
// the messages.
type hunt struct {
	*session
	snap      *mailbox.Snapshot
	summaries map[int64]*mailbox.Summary
	found     map[string][]int64 // entries by what the index was asked, ascending
	keys      int
}

// hit is a message that may match: its number, and its index in the snapshot.
type hit struct{ seq, at uint32 }

func (h *hunt) entry(n hit) int64 { return h.snap.Entry(int(n.at)) }

// Search answers SEARCH.
func (s *session) Search(kind imapserver.NumKind, c *imap.SearchCriteria, o *imap.SearchOptions) (*imap.SearchData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &hunt{session: s, summaries: map[int64]*mailbox.Summary{}, found: map[string][]int64{}}
	if !h.within(c, 0) {
		return nil, no(imap.ResponseCodeLimit, "The search has too many keys")
	}
	hits, err := h.run(c)
	if err != nil {
		return nil, s.failed("searching", err)
	}
	spans := spansOf(hits)
	d := &imap.SearchData{Count: uint32(len(hits))}
	set := s.sel.uids.set(spans)
	if o.ReturnSave {
		s.save(set, spans, o)
	}
	number := func(seq uint32) uint32 { return seq }
	if kind == imapserver.NumKindUID {
		d.All, number = set, s.sel.uids.at
	} else {
		d.All = sequence(spans)
	}
	if len(hits) > 0 {
		d.Min, d.Max = number(hits[0].seq), number(hits[len(hits)-1].seq)
	}
	return d, nil
}

// save keeps the result for "$" (RFC 5182, section 2.4: with MIN or MAX and
// neither ALL nor COUNT only these).
func (s *session) save(set imap.UIDSet, spans []span, o *imap.SearchOptions) {
	s.saved = set
	if len(spans) == 0 || o.ReturnAll || o.ReturnCount || !o.ReturnMin && !o.ReturnMax {
		return
	}
	s.saved = nil
	if o.ReturnMin {
		s.saved.AddNum(imap.UID(s.sel.uids.at(spans[0].first)))
	}
	if o.ReturnMax {
		s.saved.AddNum(imap.UID(s.sel.uids.at(spans[len(spans)-1].last)))
	}
}

func spansOf(hits []hit) (spans []span) {
	for i := range hits {
		if n := len(spans); n > 0 && spans[n-1].last+1 == hits[i].seq {
			spans[n-1].last++
			continue
		}
		spans = append(spans, span{hits[i].seq, hits[i].seq})
	}
	return spans
}

func sequence(spans []span) imap.SeqSet {
	set := imap.SeqSet{}
	for _, s := range spans {
		set = append(set, imap.SeqRange{Start: s.first, Stop: s.last})
	}
	return set
}

// within counts the keys of a search.
func (h *hunt) within(c *imap.SearchCriteria, depth int) bool {
	h.keys += 1 + len(c.SeqNum) + len(c.UID) + len(c.Header) + len(c.Body) + len(c.Text) + len(c.Flag) + len(c.NotFlag)
	if depth > maxNests || h.keys > maxKeys {
		return false
	}
	for i := range c.Not {
		if !h.within(&c.Not[i], depth+1) {
			return false
		}
	}
	for i := range c.Or {
		if !h.within(&c.Or[i][0], depth+1) || !h.within(&c.Or[i][1], depth+1) {
			return false
		}
	}
	return true
}

// run looks at the messages that the outermost keys leave over, and returns
// those that match, in order.
func (h *hunt) run(c *imap.SearchCriteria) ([]hit, error) {
	spans := []span{{1, h.sel.uids.n}}
	if h.sel.uids.n == 0 {
		spans = nil
	}
	for _, set := range c.UID {
		s, err := h.resolve(set)
		if err != nil {
			return nil, err
		}
		spans = overlap(spans, s)
	}
	for _, set := range c.SeqNum {
		s, _ := h.sel.uids.numbers(set)
		spans = overlap(spans, s)
	}
	var err error
	if h.snap, err = h.user.Snapshot(h.ctx, h.sel.folder.ID); err != nil {
		return nil, err
	}
	return h.filter(c, h.there(spans))
}

// there are the messages of spans that the folder has still.
func (h *hunt) there(spans []span) []hit {
	list := make([]hit, 0, count(spans))
	for _, s := range spans {
		at := h.snap.From(h.sel.uids.at(s.first))
		h.sel.uids.each(s, func(seq, uid uint32) {
			for at < h.snap.Len() && h.snap.UID(at) < uid {
				at++
			}
			if at < h.snap.Len() && h.snap.UID(at) == uid {
				list = append(list, hit{seq: seq, at: uint32(at)})
			}
		})
	}
	return list
}

// overlap is what two lists of spans have in common.
func overlap(a, b []span) (out []span) {
	for len(a) > 0 && len(b) > 0 {
		s := span{max(a[0].first, b[0].first), min(a[0].last, b[0].last)}
		if s.first <= s.last {
			out = append(out, s)
		}
		if a[0].last < b[0].last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// filter returns those of list that match all keys, cheap keys first.
func (h *hunt) filter(c *imap.SearchCriteria, list []hit) ([]hit, error) {
	list = h.placed(c, list)
	var err error
	for _, step := range []func(*imap.SearchCriteria, []hit) ([]hit, error){
		h.worded, h.summed, h.headed, h.negated, h.either,
	} {
		if len(list) == 0 {
			return nil, nil
		}
		if list, err = step(c, list); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// keep returns those of list that ok accepts. It leaves list as it is.
func keep(list []hit, ok func(hit) bool) []hit {
	var out []hit
	for i := range list {
		if ok(list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}

// placed applies numbers, flags and keywords.
func (h *hunt) placed(c *imap.SearchCriteria, list []hit) []hit {
	if len(c.SeqNum)+len(c.UID)+len(c.Flag)+len(c.NotFlag) == 0 {
		return list
	}
	var sets [][]span
	for _, set := range c.SeqNum {
		s, _ := h.sel.uids.numbers(set)
		sets = append(sets, s)
	}
	for _, set := range c.UID {
		s, _ := h.resolve(set)
		sets = append(sets, s)
	}
	return keep(list, func(n hit) bool {
		for _, spans := range sets {
			if !contains(spans, n.seq) {
				return false
			}
		}
		for _, f := range c.Flag {
			if !h.bears(n, f) {
				return false
			}
		}
		return !slices.ContainsFunc(c.NotFlag, func(f imap.Flag) bool { return h.bears(n, f) })
	})
}

// bears tells whether a message has a flag or keyword.
func (h *hunt) bears(n hit, f imap.Flag) bool {
	return hasFlag(h.snap.Flags(int(n.at)), h.snap.Keywords(int(n.at)), f)
}

func contains(spans []span, seq uint32) bool {
	i, ok := slices.BinarySearchFunc(spans, seq, func(s span, seq uint32) int {
		switch {
		case s.last < seq:
			return -1
		case s.first > seq:
			return 1
		}
		return 0
	})
	return ok && i < len(spans)
}

// negated and either apply NOT and OR.
func (h *hunt) negated(c *imap.SearchCriteria, list []hit) ([]hit, error) {
	for i := range c.Not {
		hits, err := h.filter(&c.Not[i], list)
		if err != nil {
			return nil, err
		}
		list = without(list, hits)
	}
	return list, nil
}

func (h *hunt) either(c *imap.SearchCriteria, list []hit) ([]hit, error) {
	for i := range c.Or {
		a, err := h.filter(&c.Or[i][0], list)
		if err != nil {
			return nil, err
		}
		b, err := h.filter(&c.Or[i][1], without(list, a))
		if err != nil {
			return nil, err
		}
		list = append(a[:len(a):len(a)], b...)
		slices.SortFunc(list, func(a, b hit) int { return int(int64(a.seq) - int64(b.seq)) })
	}
	return list, nil
}

// without is list less hits, which are a part of it in the same order.
func without(list, hits []hit) []hit {
	return keep(list, func(n hit) bool {
		if len(hits) > 0 && hits[0].seq == n.seq {
			hits = hits[1:]
			return false
		}
		return true
	})
}

// summed applies dates, sizes and the fields of envelopes.
func (h *hunt) summed(c *imap.SearchCriteria, list []hit) ([]hit, error) {
	fields := slices.ContainsFunc(c.Header, func(f imap.SearchCriteriaHeaderField) bool { return envelopeField(f.Key) })
	if !fields && c.Since.IsZero() && c.Before.IsZero() && c.SentSince.IsZero() && c.SentBefore.IsZero() && c.Larger == 0 && c.Smaller == 0 {
		return list, nil
	}
	if err := h.summarise(list); err != nil {
		return nil, err
	}
	return keep(list, func(n hit) bool {
		s := h.summaries[h.entry(n)]
		return s != nil && h.fits(c, s)
	}), nil
}

func (h *hunt) fits(c *imap.SearchCriteria, s *mailbox.Summary) bool {
	internal := day(s.Internal)
	switch {
	case !c.Since.IsZero() && internal.Before(day(c.Since)), !c.Before.IsZero() && !internal.Before(day(c.Before)),
		c.Larger > 0 && s.Size <= c.Larger, c.Smaller > 0 && s.Size >= c.Smaller:
		return false
	}
	if !c.SentSince.IsZero() || !c.SentBefore.IsZero() {
		sent, ok := message.ParseDate(s.Date)
		if !ok || !c.SentSince.IsZero() && day(sent).Before(day(c.SentSince)) || !c.SentBefore.IsZero() && !day(sent).Before(day(c.SentBefore)) {
			return false
		}
	}
	for _, f := range c.Header {
		if envelopeField(f.Key) && !includes(fieldIn(s, f.Key), f.Value) {
			return false
		}
	}
	return true
}

// day drops the time of day and the zone (RFC 9051, section 6.4.4).
func day(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// summarise reads the summaries that list needs and that aren't there yet.
func (h *hunt) summarise(list []hit) error {
	var entries []int64
	for i := range list {
		if e := h.entry(list[i]); h.summaries[e] == nil {
			entries = append(entries, e)
		}
	}
	for part := range slices.Chunk(entries, 2000) {
		got, err := h.user.Summaries(h.ctx, part)
		if err != nil {
			return err
		}
		for i := range got {
			h.summaries[got[i].Entry] = &got[i]
		}
	}
	return nil
}

// envelopeField tells whether a field is in summaries.
func envelopeField(key string) bool {
	switch strings.ToLower(key) {
	case "from", "to", "cc", "bcc", "subject", "date", "sender", "reply-to", "in-reply-to", "message-id":
		return true
	}
	return false
}
