package imapd

import (
	"maps"
	"slices"

	"sijill/internal/mailbox"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// maxUID is the highest there can be (RFC 9051, section 9, uniqueid).
const maxUID = 1<<32 - 1

// selected is the folder that a session has open, as its client knows it.
//
// What others do is read with Changes and kept until it may be told: a message
// that is gone keeps its number until EXPUNGE was written.
type selected struct {
	folder   mailbox.Folder
	readOnly bool
	uids     uidList
	cursor   int64           // Changes are known up to here
	gone     map[uint32]bool // not there any more, not told yet; as those below, nil until needed
	flagged  []mailbox.Place // changed by others, not told yet
	arrived  bool            // EXISTS is to be told
	told     uint32          // highest UID that EXISTS was told of
	own      map[int64]int64 // ModSeq of messages that this session flagged
	deleted  map[uint32]bool // UIDs with \Deleted
	keywords []string        // that the client was told of
	fresh    bool            // one of keywords is new
	changed  <-chan struct{}
	stop     func()
}

// Select opens a folder. The library has closed the one before.
func (s *session) Select(name string, o *imap.SelectOptions) (*imap.SelectData, error) {
	f, n, err := s.folder(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return nil, err
	}
	sel := &selected{folder: f, readOnly: o.ReadOnly}
	sel.changed, sel.stop = s.user.Watch()
	unseen, err := s.load(sel)
	if err != nil {
		sel.stop()
		return nil, s.refuse("opening a folder", err)
	}
	s.mu.Lock()
	s.sel, s.saved = sel, nil
	s.mu.Unlock()
	d := &imap.SelectData{
		Flags: sel.flags(), NumMessages: sel.uids.n, FirstUnseenSeqNum: unseen,
		UIDValidity: uint32(f.UIDValidity), UIDNext: imap.UID(max(f.UIDNext, int64(sel.uids.last())+1)),
	}
	if !o.ReadOnly {
		d.PermanentFlags = append(slices.Clone(d.Flags), imap.FlagWildcard)
	}
	if s.rev2() {
		d.List = &imap.ListData{Mailbox: n.of(f), Delim: '/'}
	}
	return d, nil
}

// load reads the messages of the folder and returns the number of the first
// unseen one, 0 if there is none.
func (s *session) load(sel *selected) (unseen uint32, err error) {
	snap, err := s.user.Snapshot(s.ctx, sel.folder.ID)
	if err != nil {
		return 0, err
	}
	sel.cursor, sel.keywords = snap.ModSeq, snap.AllKeywords()
	sel.uids = uidList{runs: snap.Runs(), n: uint32(snap.Len())}
	sel.told = sel.uids.last()
	for i := range snap.Len() {
		if unseen == 0 && snap.Flags(i)&mailbox.FlagSeen == 0 {
			unseen = uint32(i + 1)
		}
		if snap.Flags(i)&mailbox.FlagDeleted != 0 {
			mark(&sel.deleted, snap.UID(i), true)
		}
	}
	return unseen, nil
}

// mark puts something into a map that may not be there yet.
func mark[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// note keeps what has to be known of a message's flags.
func (sel *selected) note(p *mailbox.Place) {
	if p.Flags&mailbox.FlagDeleted != 0 {
		mark(&sel.deleted, uint32(p.UID), true)
	} else {
		delete(sel.deleted, uint32(p.UID))
	}
	for _, k := range p.Keywords {
		if !slices.Contains(sel.keywords, k) {
			sel.keywords, sel.fresh = append(sel.keywords, k), true
		}
	}
}

// flags are those that the folder's messages may have.
func (sel *selected) flags() []imap.Flag {
	return flagNames(mailbox.FlagSeen|mailbox.FlagAnswered|mailbox.FlagFlagged|mailbox.FlagDeleted|mailbox.FlagDraft, sel.keywords)
}

// Unselect closes the folder.
func (s *session) Unselect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sel != nil {
		s.sel.stop()
	}
	s.sel, s.saved = nil, nil
	return nil
}

// Poll tells what others did, at the end of a command.
func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sel == nil {
		return nil
	}
	if err := s.sync(); err != nil {
		// The library has no answer left to tell this in, and would hang up.
		if s.failed("looking for changes", err) != errGone {
			s.g.bye("[UNAVAILABLE] Changes in the folder can't be read now; connect again later")
		}
		return errGone
	}
	return s.sel.tell(w, allowExpunge)
}

// sync reads what has changed in the folder. Called with mu held.
func (s *session) sync() error {
	sel := s.sel
	c, err := s.user.Changes(s.ctx, sel.folder.ID, sel.cursor)
	if err != nil {
		return err
	}
	if c.Whole {
		if c, err = s.whole(c); err != nil {
			return err
		}
	}
	for _, uid := range c.Gone {
		if _, ok := sel.uids.seq(uint32(uid)); ok {
			mark(&sel.gone, uint32(uid), true)
		}
		delete(sel.deleted, uint32(uid))
	}
	slices.SortFunc(c.Changed, func(a, b mailbox.Place) int { return int(a.UID - b.UID) })
	for i := range c.Changed {
		p := &c.Changed[i]
		sel.note(p)
		_, known := sel.uids.seq(uint32(p.UID))
		switch {
		case !known:
			sel.arrived = sel.uids.add(uint32(p.UID)) || sel.arrived
		case sel.own[p.UID] != p.ModSeq:
			sel.flagged = append(sel.flagged, *p)
		}
	}
	sel.own = nil
	sel.cursor = c.ModSeq
	return nil
}

// whole compares the folder with what the session knows, where the backend
// can't tell any more what changed.
func (s *session) whole(c mailbox.Changes) (mailbox.Changes, error) {
	places, err := s.user.Places(s.ctx, s.sel.folder.ID, 1, maxUID)
	if err != nil {
		return c, err
	}
	there := make(map[uint32]bool, len(places))
	for _, p := range places {
		there[uint32(p.UID)] = true
	}
	c.Changed, c.Gone = places, nil
	for seq := range s.sel.uids.n {
		if uid := s.sel.uids.at(seq + 1); !there[uid] {
			c.Gone = append(c.Gone, int64(uid))
		}
	}
	return c, nil
}

// tell writes what is known and not told yet. Messages that are gone are told
// last to first, and only where that is allowed (RFC 9051, section 7.5.1).
func (sel *selected) tell(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if allowExpunge && len(sel.gone) > 0 {
		for _, seq := range sel.remove(slices.Collect(maps.Keys(sel.gone))) {
			if err := w.WriteExpunge(seq); err != nil {
				return err
			}
		}
		sel.gone = nil
	}
	if sel.arrived {
		sel.arrived = false
		if err := w.WriteNumMessages(sel.uids.n); err != nil {
			return err
		}
		sel.told = max(sel.told, sel.uids.last())
	}
	if sel.fresh {
		sel.fresh = false
		if err := w.WriteMailboxFlags(sel.flags()); err != nil {
			return err
		}
	}
	flagged := sel.flagged
	sel.flagged = nil
	for _, p := range flagged {
		seq, ok := sel.uids.seq(uint32(p.UID))
		if !ok {
			continue
		}
		if err := w.WriteMessageFlags(seq, imap.UID(p.UID), flagNames(p.Flags, p.Keywords)); err != nil {
			return err
		}
	}
	return nil
}

// took notes places that this session changed itself: its client knows.
func (sel *selected) took(places []mailbox.Place) {
	for i := range places {
		mark(&sel.own, places[i].UID, places[i].ModSeq)
		sel.note(&places[i])
	}
}

// dropped takes messages out that this session removed itself.
func (sel *selected) dropped(uids []int64) []uint32 {
	all := make([]uint32, len(uids))
	for i, uid := range uids {
		all[i] = uint32(uid)
		delete(sel.deleted, all[i])
		delete(sel.gone, all[i])
	}
	return sel.remove(all)
}

// remove takes messages out and returns the numbers by which the client knows them,
// highest first. One that came and went between two looks has none: EXISTS never
// counted it, so EXPUNGE must not either (RFC 9051, section 7.5.1).
func (sel *selected) remove(uids []uint32) []uint32 {
	var known, unknown []uint32
	for _, uid := range uids {
		if uid <= sel.told {
			known = append(known, uid)
		} else {
			unknown = append(unknown, uid)
		}
	}
	sel.uids.remove(unknown)
	return sel.uids.remove(known)
}
