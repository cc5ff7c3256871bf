package imapd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"sijill/internal/mailbox"
	"sijill/internal/message"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// maxSections is how many pieces of each message one FETCH may ask for.
const maxSections = 100

// fetch is one FETCH under way.
type fetch struct {
	*session
	w    *imapserver.FetchWriter
	o    *imap.FetchOptions
	shut int // messages that could not be opened
}

// Fetch answers FETCH.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(o.BodySection)+len(o.BinarySection)+len(o.BinarySectionSize) > maxSections {
		return no(imap.ResponseCodeLimit, fmt.Sprintf("One FETCH may ask for %d pieces", maxSections))
	}
	for _, b := range o.BodySection {
		if b.Partial != nil && b.Partial.Offset > math.MaxUint32 {
			// The answer names where a piece begins in 32 bits (RFC 9051, section 9, msg-att-static).
			return no(imap.ResponseCodeLimit, "No message is as long as that")
		}
	}
	spans, err := s.resolve(set)
	if err != nil {
		return err
	}
	f := &fetch{session: s, w: w, o: o}
	missing, err := f.ahead(spans)
	if err != nil {
		return s.failed("fetching", err)
	}
	if f.shut > 0 {
		return no(imap.ResponseCodeUnavailable, fmt.Sprintf("%d of the messages can't be opened now", f.shut))
	}
	return incomplete(set, missing)
}

// listed tells whether summaries are wanted, opens whether the message is.
func (f *fetch) listed() bool { return f.o.Envelope || f.o.InternalDate || f.o.RFC822Size }

func (f *fetch) opens() bool {
	return f.o.BodyStructure != nil || len(f.o.BodySection)+len(f.o.BinarySection)+len(f.o.BinarySectionSize) > 0
}

// reads tells whether to mark the messages seen (RFC 9051, section 6.4.5).
func (f *fetch) reads() bool {
	if f.sel.readOnly {
		return false
	}
	for _, b := range f.o.BodySection {
		if !b.Peek {
			return true
		}
	}
	for _, b := range f.o.BinarySection {
		if !b.Peek {
			return true
		}
	}
	return false
}

// portion is some of the messages, with what lists need of them.
type portion struct {
	batch     []numbered
	summaries map[int64]*mailbox.Summary
}

// ahead answers for the messages of spans. While one portion is written the next
// is read.
func (f *fetch) ahead(spans []span) (missing int, err error) {
	size := batchSize
	if f.listed() && !f.opens() {
		size = listSize
	}
	if count(spans) <= size {
		return f.each(spans, size, func(batch []numbered) error {
			p, err := f.prepare(batch)
			if err != nil {
				return err
			}
			return f.answer(p)
		})
	}
	ready, stop := make(chan *portion, 1), make(chan struct{})
	var failed error
	go func() {
		defer close(ready)
		missing, failed = f.each(spans, size, func(batch []numbered) error {
			p, err := f.prepare(slices.Clone(batch))
			if err != nil {
				return err
			}
			select {
			case ready <- p:
				return nil
			case <-stop:
				return errStopped
			}
		})
	}()
	for p := range ready {
		if err == nil {
			if err = f.answer(p); err != nil {
				close(stop)
			}
		}
	}
	return missing, cmp.Or(err, failed)
}

// errStopped ends the reading for an answer that can't be written.
var errStopped = errors.New("imapd: nobody reads the answer")

// prepare reads what lists need of messages, and makes their envelopes.
func (f *fetch) prepare(batch []numbered) (*portion, error) {
	p := &portion{batch: batch}
	if !f.listed() {
		return p, nil
	}
	places := make([]mailbox.Place, len(batch))
	for i := range batch {
		places[i] = batch[i].place
	}
	var err error
	if p.summaries, err = f.summaries(places); err != nil || !f.o.Envelope {
		return p, err
	}
	for i := range batch {
		if sum := p.summaries[batch[i].place.Entry]; sum != nil {
			batch[i].envelope = envelopeOf(sum)
		}
	}
	return p, nil
}

// answer answers for some messages.
func (f *fetch) answer(p *portion) error {
	if f.reads() {
		if err := f.markSeen(p.batch); err != nil {
			return err
		}
	}
	if f.opens() || f.listed() && len(p.summaries) < len(p.batch) {
		return f.opened(p.batch, p.summaries)
	}
	for i := range p.batch {
		if err := f.write(&p.batch[i], p.summaries[p.batch[i].place.Entry], nil); err != nil {
			return err
		}
	}
	return nil
}

// summaries asks for the summaries of places. Some may be missing.
func (s *session) summaries(places []mailbox.Place) (map[int64]*mailbox.Summary, error) {
	entries := make([]int64, len(places))
	for i := range places {
		entries[i] = places[i].Entry
	}
	list, err := s.user.Summaries(s.ctx, entries)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]*mailbox.Summary, len(list))
	for i := range list {
		all[list[i].Entry] = &list[i]
	}
	return all, nil
}

// markSeen sets \Seen where it isn't. Those that change have their flags told.
func (f *fetch) markSeen(batch []numbered) error {
	var uids []int64
	at := map[int64]int{}
	for i := range batch {
		if p := &batch[i].place; p.Flags&mailbox.FlagSeen == 0 {
			uids = append(uids, p.UID)
			at[p.UID] = i
		}
	}
	if len(uids) == 0 {
		return nil
	}
	places, err := f.user.Flag(f.ctx, f.sel.folder.ID, uids, mailbox.Add, mailbox.FlagSeen, nil)
	if err != nil {
		return err
	}
	f.sel.took(places)
	for _, p := range places {
		if i, ok := at[p.UID]; ok {
			batch[i].place = p
			batch[i].told = true
		}
	}
	return nil
}

// opened answers for messages that have to be opened, several at once.
func (f *fetch) opened(batch []numbered, summaries map[int64]*mailbox.Summary) error {
	q, err := f.openMessages(batch)
	if err != nil {
		return err
	}
	defer q.stop()
	for i := range batch {
		raw, err := q.next()
		if err != nil {
			f.shut++
			f.srv.opt.Log.Debug("a message could not be opened", "error", err)
			continue
		}
		f.srv.stats.fetched.Add(1)
		sum := summaries[batch[i].place.Entry]
		if sum == nil && f.listed() {
			sum = summaryOf(raw, &batch[i].place)
		}
		err = f.write(&batch[i], sum, raw)
		q.done()
		if err != nil {
			return err
		}
	}
	return nil
}

// write answers for one message. Nothing can fail once the response has begun.
func (f *fetch) write(n *numbered, sum *mailbox.Summary, raw []byte) error {
	var parsed *message.Message
	if raw != nil && f.parses() {
		parsed = message.Parse(raw)
	}
	binaries, err := f.binaries(parsed, raw)
	if err != nil {
		return err
	}
	w := f.w.CreateMessage(n.seq)
	if f.o.UID {
		w.WriteUID(imap.UID(n.place.UID))
	}
	if f.o.Flags || n.told {
		w.WriteFlags(flagNames(n.place.Flags, n.place.Keywords))
	}
	if f.o.Envelope {
		if n.envelope == nil {
			n.envelope = envelopeOf(sum)
		}
		w.WriteEnvelope(n.envelope)
	}
	if f.o.InternalDate {
		w.WriteInternalDate(dateWithin(sum.Internal))
	}
	if f.o.RFC822Size {
		w.WriteRFC822Size(sum.Size)
	}
	if f.o.BodyStructure != nil {
		w.WriteBodyStructure(structureOf(parsed))
	}
	for _, b := range f.o.BodySection {
		body := section(parsed, raw, b)
		writeLiteral(w.WriteBodySection(b, int64(len(body))), body)
	}
	for i, b := range f.o.BinarySection {
		body := within(binaries[i], b.Partial)
		writeLiteral(w.WriteBinarySection(b, int64(len(body))), body)
	}
	for i, b := range f.o.BinarySectionSize {
		w.WriteBinarySectionSize(b, uint32(len(binaries[len(f.o.BinarySection)+i])))
	}
	return w.Close()
}

// writeLiteral sends octets. An error of the connection shows at Close.
func writeLiteral(w io.WriteCloser, b []byte) {
	w.Write(b)
	w.Close()
}

// parses tells whether the structure of messages matters.
func (f *fetch) parses() bool {
	if f.o.BodyStructure != nil || len(f.o.BinarySection)+len(f.o.BinarySectionSize) > 0 {
		return true
	}
	for _, b := range f.o.BodySection {
		if len(b.Part) > 0 || b.Specifier != imap.PartSpecifierNone {
			return true
		}
	}
	return false
}

// binaries undoes the encodings of the parts that BINARY and BINARY.SIZE name.
func (f *fetch) binaries(m *message.Message, raw []byte) (all [][]byte, err error) {
	add := func(number []int) {
		b, e := decoded(m, raw, number)
		all, err = append(all, b), errors.Join(err, e)
	}
	for _, b := range f.o.BinarySection {
		add(b.Part)
	}
	for _, b := range f.o.BinarySectionSize {
		add(b.Part)
	}
	return all, err
}
