package imapd

import (
	"maps"
	"slices"

	"sijill/internal/mailbox"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Store answers STORE.
func (s *session) Store(w *imapserver.FetchWriter, set imap.NumSet, f *imap.StoreFlags, _ *imap.StoreOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sel.readOnly {
		return errReadOnly
	}
	flags, keywords, err := parseFlags(f.Flags)
	if err != nil {
		return err
	}
	op := map[imap.StoreFlagsOp]mailbox.Op{imap.StoreFlagsSet: mailbox.Set, imap.StoreFlagsAdd: mailbox.Add, imap.StoreFlagsDel: mailbox.Remove}[f.Op]
	spans, err := s.resolve(set)
	if err != nil {
		return err
	}
	missing, err := s.each(spans, batchSize, func(batch []numbered) error {
		places, err := s.user.Flag(s.ctx, s.sel.folder.ID, uidsOf(batch), op, flags, keywords)
		if err != nil {
			return err
		}
		s.sel.took(places)
		if f.Silent {
			return nil
		}
		return s.tellFlags(w, set, places)
	})
	if err != nil {
		return s.failed("changing flags", err)
	}
	return incomplete(set, missing)
}

// tellFlags answers STORE with the flags as they are now.
func (s *session) tellFlags(w *imapserver.FetchWriter, set imap.NumSet, places []mailbox.Place) error {
	_, byUID := set.(imap.UIDSet)
	for i := range places {
		p := &places[i]
		seq, ok := s.sel.uids.seq(uint32(p.UID))
		if !ok {
			continue
		}
		m := w.CreateMessage(seq)
		if byUID {
			m.WriteUID(imap.UID(p.UID))
		}
		m.WriteFlags(flagNames(p.Flags, p.Keywords))
		if err := m.Close(); err != nil {
			return err
		}
	}
	return nil
}

// Expunge answers EXPUNGE and UID EXPUNGE, and does what CLOSE asks for: in a
// folder that is open for reading only, nothing.
func (s *session) Expunge(w *imapserver.ExpungeWriter, only *imap.UIDSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sel.readOnly {
		if s.g.current() == "CLOSE" {
			return nil
		}
		return errReadOnly
	}
	if err := s.sync(); err != nil {
		return s.failed("expunging", err)
	}
	uids := s.condemned(only)
	if len(uids) == 0 {
		return nil
	}
	if err := s.user.Expunge(s.ctx, s.sel.folder.ID, uids); err != nil {
		return s.failed("expunging", err)
	}
	for _, seq := range s.sel.dropped(uids) {
		if err := w.WriteExpunge(seq); err != nil {
			return err
		}
	}
	return nil
}

// condemned are the UIDs with \Deleted, those in only if it is given.
func (s *session) condemned(only *imap.UIDSet) []int64 {
	in := func(uint32) bool { return true }
	if only != nil {
		spans, err := s.resolve(*only)
		if err != nil {
			return nil
		}
		set := s.sel.uids.set(spans)
		in = func(uid uint32) bool { return set.Contains(imap.UID(uid)) }
	}
	var uids []int64
	for _, uid := range slices.Sorted(maps.Keys(s.sel.deleted)) {
		if _, known := s.sel.uids.seq(uid); known && in(uid) {
			uids = append(uids, int64(uid))
		}
	}
	return uids
}

// Copy answers COPY.
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, batch, err := s.transfer(set, dest)
	if err != nil || len(batch) == 0 {
		return nil, err
	}
	copied, err := s.user.Copy(s.ctx, s.sel.folder.ID, uidsOf(batch), to.ID)
	if err != nil {
		return nil, s.failed("copying", err)
	}
	return copyData(to, copied), nil
}

// Move answers MOVE: COPYUID, then each message that went, once (RFC 6851).
func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sel.readOnly {
		return errReadOnly
	}
	to, batch, err := s.transfer(set, dest)
	if err != nil || len(batch) == 0 {
		return err
	}
	moved, err := s.user.Move(s.ctx, s.sel.folder.ID, uidsOf(batch), to.ID)
	if err != nil {
		return s.failed("moving", err)
	}
	if d := copyData(to, moved); d != nil {
		if err := w.WriteCopyData(d); err != nil {
			return err
		}
	}
	left := make([]int64, len(moved))
	for i, c := range moved {
		left[i] = c.From
	}
	for _, seq := range s.sel.dropped(left) {
		if err := w.WriteExpunge(seq); err != nil {
			return err
		}
	}
	return nil
}

// transfer finds what COPY and MOVE name.
func (s *session) transfer(set imap.NumSet, dest string) (to mailbox.Folder, batch []numbered, err error) {
	spans, err := s.resolve(set)
	if err != nil {
		return to, nil, err
	}
	if to, _, err = s.folder(dest, imap.ResponseCodeTryCreate); err != nil {
		return to, nil, err
	}
	batch, _, err = s.collect(spans)
	if err != nil {
		err = s.failed("copying", err)
	}
	return to, batch, err
}

// copyData says which message became which. Its two sets are read side by side,
// so it is left out where UIDs were not given in order.
func copyData(to mailbox.Folder, copied []mailbox.Copied) *imap.CopyData {
	if len(copied) == 0 {
		return nil
	}
	copied = slices.Clone(copied)
	slices.SortFunc(copied, func(a, b mailbox.Copied) int { return int(a.From - b.From) })
	d := &imap.CopyData{UIDValidity: uint32(to.UIDValidity)}
	for i, c := range copied {
		if i > 0 && c.To <= copied[i-1].To {
			return nil
		}
		d.SourceUIDs.AddNum(imap.UID(c.From))
		d.DestUIDs.AddNum(imap.UID(c.To))
	}
	return d
}
