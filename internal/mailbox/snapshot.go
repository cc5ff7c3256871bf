package mailbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sijill/internal/db"
)

// Snapshot is what mail programs see of a folder at one ModSeq, in 13 bytes a
// message: what has to be known of every message to number a folder and to
// search it. It never changes, and all who have the folder open use the same one.
// Messages go by their index, in the order of their UIDs.
type Snapshot struct {
	// ModSeq is what to ask Changes with.
	ModSeq int64

	validity int64 // UIDValidity of the folder.
	uids     []uint32
	entries  []int64
	flags    []Flags
	words    []uint32 // Indexes into sets; nil while no message has keywords.
	sets     []keywordSet
	runs     func() []Run
}

// Run is a row of UIDs without a gap, which goes on to where the next one begins.
type Run struct {
	UID, Seq uint32 // Of its first message; numbers begin with 1.
}

// keywordSet are keywords that messages have together, also as they are stored.
type keywordSet struct {
	joined string
	names  []string
}

// NewSnapshot makes the snapshot of a folder whose messages are list, by UID.
func NewSnapshot(modSeq int64, list []Place) *Snapshot {
	d := draw(modSeq, 0, len(list))
	for i := range list {
		d.place(&list[i])
	}
	return d.Snapshot
}

// Len is how many messages there are.
func (s *Snapshot) Len() int { return len(s.uids) }

// UID is that of the message at index i, as are those below.
func (s *Snapshot) UID(i int) uint32 { return s.uids[i] }

// Entry is its entry, or NoticeEntry of the folder.
func (s *Snapshot) Entry(i int) int64 { return s.entries[i] }

// Flags are its flags.
func (s *Snapshot) Flags(i int) Flags { return s.flags[i] }

// Keywords are its keywords. They must not be changed.
func (s *Snapshot) Keywords(i int) []string {
	if s.words == nil {
		return nil
	}
	return s.sets[s.words[i]].names
}

// Runs are the UIDs of all messages, in few bytes where few have left the folder.
// They must not be changed, and can be appended to.
func (s *Snapshot) Runs() []Run { return s.runs() }

func (s *Snapshot) makeRuns() (runs []Run) {
	for i, uid := range s.uids {
		if i == 0 || uid != s.uids[i-1]+1 {
			runs = append(runs, Run{UID: uid, Seq: uint32(i + 1)})
		}
	}
	return slices.Clip(slices.Clone(runs)) // With no room to spare, so that whoever appends has a copy.
}

// From is the index of the first message whose UID is uid or above; Len if there
// is none.
func (s *Snapshot) From(uid uint32) int {
	i, _ := slices.BinarySearch(s.uids, uid)
	return i
}

// AllKeywords are those that any message has, in the order in which they come.
func (s *Snapshot) AllKeywords() (all []string) {
	if s.words == nil {
		return nil
	}
	done := make([]bool, len(s.sets))
	for _, w := range s.words {
		if done[w] {
			continue
		}
		done[w] = true
		for _, k := range s.sets[w].names {
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
	}
	return all
}

// drawing is a snapshot that is being made.
type drawing struct {
	*Snapshot
	known map[string]uint32 // Indexes of sets, by joined; nil until one is needed.
}

// draw begins a snapshot of about n messages.
func draw(modSeq, validity int64, n int) *drawing {
	s := &Snapshot{ModSeq: modSeq, validity: validity, uids: make([]uint32, 0, n), entries: make([]int64, 0, n), flags: make([]Flags, 0, n)}
	s.runs = sync.OnceValue(s.makeRuns)
	return &drawing{Snapshot: s}
}

// place adds a message at the end.
func (d *drawing) place(p *Place) {
	d.add(uint32(p.UID), p.Entry, p.Flags, d.set(combineWords(nil, Set, p.Keywords)))
}

func (d *drawing) add(uid uint32, entry int64, flags Flags, set uint32) {
	d.uids, d.entries, d.flags = append(d.uids, uid), append(d.entries, entry), append(d.flags, flags)
	if d.words != nil {
		d.words = append(d.words, set)
	}
}

// set is the index of a set of keywords. The first is empty.
func (d *drawing) set(joined string) uint32 {
	if joined == "" {
		return 0
	}
	if d.known == nil {
		d.known = map[string]uint32{}
		for i := range d.sets {
			d.known[d.sets[i].joined] = uint32(i)
		}
	}
	if i, ok := d.known[joined]; ok {
		return i
	}
	if d.words == nil {
		d.words = make([]uint32, len(d.uids), cap(d.uids))
	}
	if len(d.sets) == 0 {
		d.sets = make([]keywordSet, 1)
	}
	n := uint32(len(d.sets))
	d.sets, d.known[joined] = append(d.sets, keywordSet{joined, splitKeywords(joined)}), n
	return n
}

// after is the snapshot that changes make of this one.
func (s *Snapshot) after(c *Changes) *Snapshot {
	d := draw(c.ModSeq, s.validity, len(s.uids)+len(c.Changed))
	d.sets = slices.Clip(s.sets)
	if s.words != nil {
		d.words = make([]uint32, 0, cap(d.uids))
	}
	changed, gone := c.Changed, c.Gone
	for i, uid := range s.uids {
		for len(changed) > 0 && changed[0].UID < int64(uid) {
			d.place(&changed[0])
			changed = changed[1:]
		}
		for len(gone) > 0 && gone[0] < int64(uid) {
			gone = gone[1:]
		}
		switch {
		case len(changed) > 0 && changed[0].UID == int64(uid), len(gone) > 0 && gone[0] == int64(uid):
		case s.words == nil:
			d.add(uid, s.entries[i], s.flags[i], 0)
		default:
			d.add(uid, s.entries[i], s.flags[i], s.words[i])
		}
	}
	for i := range changed {
		d.place(&changed[i])
	}
	return d.Snapshot
}

// worn tells whether more sets of keywords have gathered by changes than can be in
// use.
func (s *Snapshot) worn() bool { return len(s.sets) > len(s.uids)+manySets }

const manySets = 1000

// ProgramSnapshot is what ProgramPlaces says of a whole folder, as it is now. Its
// errors are those of ProgramPlaces.
func (m *Mailbox) ProgramSnapshot(ctx context.Context, account, folder int64) (*Snapshot, error) {
	k := m.snapshots.of(folder)
	select { // Many may open a folder at once: one reads it.
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the messages of a folder: %w", ctx.Err())
	}
	defer func() { <-k.turn }()
	var s *Snapshot
	err := m.db.Read(ctx, func(tx *db.Tx) (err error) {
		s, err = latest(tx, account, folder, k.last)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the messages of a folder: %w", err)
	}
	if k.last != s {
		k.last = s
		m.snapshots.keep(folder, k, len(s.uids))
	}
	return s, nil
}

// latest gives old if nothing has changed since, else what changes make of it, or
// what the tables have.
func latest(tx *db.Tx, account, folder int64, old *Snapshot) (*Snapshot, error) {
	f, err := owned(tx, account, folder)
	if err != nil {
		return nil, err
	}
	if old == nil || old.validity != f.UIDValidity || old.worn() {
		return readSnapshot(tx, f)
	}
	if old.ModSeq == f.ModSeq {
		return old, nil
	}
	c, err := programChanges(tx, f, old.ModSeq)
	switch {
	case err != nil:
		return nil, err
	case c.Whole:
		return readSnapshot(tx, f)
	}
	return old.after(&c), nil
}

func readSnapshot(tx *db.Tx, f *folder) (*Snapshot, error) {
	notice, err := withNotice(tx, f, nil, 1, f.Notice, 0)
	if err != nil {
		return nil, err
	}
	d := draw(f.ModSeq, f.UIDValidity, int(max(f.Total-f.Cold, 0))+len(notice))
	var uid, entry, flags int64
	var keywords string
	const q = "SELECT uid, entry, flags, keywords FROM mail_place WHERE folder = ? AND flags & 128 = 0 ORDER BY uid"
	err = tx.Each(q, []any{f.ID}, func(r db.Row) error {
		err := r.Scan(&uid, &entry, &flags, &keywords)
		if len(notice) > 0 && notice[0].UID < uid {
			d.place(&notice[0])
			notice = nil
		}
		d.add(uint32(uid), entry, Flags(flags), d.set(keywords))
		return err
	})
	for i := range notice {
		d.place(&notice[i])
	}
	return d.Snapshot, err
}

const (
	// maxSnapshots is how many messages the snapshots have that are kept, one of
	// a larger folder aside.
	maxSnapshots = 1 << 20
	// unused is how long a snapshot is kept that nobody asks for.
	unused = 10 * time.Minute
)

// snapshots are those of folders that somebody has asked for lately. Zero is
// ready for use.
type snapshots struct {
	mu       sync.Mutex // Guards what follows.
	byFolder map[int64]*kept
	messages int // In all of them.
}

// kept is the last snapshot of a folder.
type kept struct {
	turn chan struct{} // Has something in it while somebody reads or writes last.
	last *Snapshot

	messages int // That are counted for it; guarded by snapshots.mu, as is used.
	used     time.Time
}

// of gives the place of a folder's snapshot, which is there as long as it is used.
func (c *snapshots) of(folder int64) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byFolder[folder]
	if k == nil {
		k = &kept{turn: make(chan struct{}, 1)}
		if len(c.byFolder) == 0 {
			c.byFolder = map[int64]*kept{}
			time.AfterFunc(unused/2, c.sweep)
		}
		c.byFolder[folder] = k
	}
	k.used = time.Now()
	return k
}

// keep counts the messages of a folder's snapshot, and forgets those that were
// not used for longest while there are too many.
func (c *snapshots) keep(folder int64, k *kept, messages int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byFolder[folder] != k {
		return // It was forgotten meanwhile.
	}
	c.messages += messages - k.messages
	k.messages = messages
	for c.messages > maxSnapshots && len(c.byFolder) > 1 {
		oldest := int64(0)
		for id, other := range c.byFolder {
			if other != k && (oldest == 0 || other.used.Before(c.byFolder[oldest].used)) {
				oldest = id
			}
		}
		c.forget(oldest)
	}
}

// forget is called with mu held.
func (c *snapshots) forget(folder int64) {
	c.messages -= c.byFolder[folder].messages
	delete(c.byFolder, folder)
}

// sweep forgets what nobody has asked for, from time to time until nothing is
// left.
func (c *snapshots) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.byFolder {
		if time.Since(k.used) > unused {
			c.forget(id)
		}
	}
	if len(c.byFolder) > 0 {
		time.AfterFunc(unused/2, c.sweep)
	}
}
