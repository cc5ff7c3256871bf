package mailbox

import (
	"cmp"
	"fmt"
	"slices"

	"sijill/internal/db"
)

// The rule of threads, for each account by itself and in the order of entries:
//
//  1. A message belongs to the thread of any Message-ID that it has or names
//     (References, In-Reply-To), known from a message or only from being named.
//     Where these are several threads they become one.
//  2. Else a reply or forward (a subject so marked, or one that names messages)
//     belongs to the latest thread about its base subject, and a message that
//     is no reply belongs to it when all there is are replies; both only
//     within window of what that thread has on the subject.
//  3. Else it begins a thread, whose id is the number of its entry.
//
// So two unconnected messages that merely share a subject (every "Daily
// report") stay apart.

// window is how far in seconds a message may be from others with its subject.
const window = 30 * 24 * 60 * 60

// maxMove is the size at which a thread is no longer made part of another. It
// bounds what one message can make us rewrite.
const maxMove = 500

// key is an id or a hash within an account.
type key struct{ account, id int64 }

// subject is the latest thread about a subject: a row of mail_subject.
type subject struct {
	thread, oldest, newest int64
	begun, changed         bool
	stored                 bool // It has a row.
}

// threads finds the threads of the lines of one batch. What it decides is seen
// by later lines of the batch at once and written by flush.
type threads struct {
	tx       *db.Tx
	refs     map[key]int64
	subjects map[key]*subject
	merged   map[key]int64 // Where the messages of a thread went.
	stored   map[key]int   // Messages of a thread in the table, counted to maxMove+1.
	added    map[key]int   // Messages that this batch adds to it.

	newRefs, newMerged, changed []key
}

// newThreads reads at once all that the lines may ask for.
func newThreads(tx *db.Tx, lines []*line) (*threads, error) {
	t := &threads{
		tx: tx, refs: map[key]int64{}, subjects: map[key]*subject{}, merged: map[key]int64{},
		stored: map[key]int{}, added: map[key]int{},
	}
	for account, lines := range byAccount(lines) {
		var refs, abouts []int64
		for _, l := range lines {
			refs = append(refs, l.references...)
			if l.about != 0 {
				abouts = append(abouts, l.about)
			}
		}
		known, err := t.read(account, unique(refs), unique(abouts))
		if err != nil {
			return nil, fmt.Errorf("reading threads: %w", err)
		}
		if err := t.follow(account, known); err != nil {
			return nil, fmt.Errorf("reading merged threads: %w", err)
		}
	}
	return t, nil
}

// read gives the threads that references and subjects name.
func (t *threads) read(account int64, refs, abouts []int64) (known []int64, err error) {
	const byRef = "SELECT hash, thread FROM mail_reference WHERE account = ? AND hash IN (?)"
	err = eachOf(t.tx, byRef, []any{account}, refs, func(r db.Row) error {
		var h, thread int64
		if err := r.Scan(&h, &thread); err != nil {
			return err
		}
		t.refs[key{account, h}] = thread
		known = append(known, thread)
		return nil
	})
	if err != nil {
		return nil, err
	}
	const bySubject = "SELECT hash, thread, oldest, newest, begun FROM mail_subject WHERE account = ? AND hash IN (?)"
	err = eachOf(t.tx, bySubject, []any{account}, abouts, func(r db.Row) error {
		var h int64
		s := &subject{stored: true}
		if err := r.Scan(&h, &s.thread, &s.oldest, &s.newest, &s.begun); err != nil {
			return err
		}
		t.subjects[key{account, h}] = s
		known = append(known, s.thread)
		return nil
	})
	return known, err
}

// follow reads where threads went, and where those went. The smaller thread
// always goes to the larger, so there are at most log2(maxMove)+1 rounds.
func (t *threads) follow(account int64, known []int64) error {
	for known = unique(known); len(known) > 0; known = unique(known) {
		asked := known
		known = nil
		const q = "SELECT thread, target FROM mail_merged WHERE account = ? AND thread IN (?)"
		err := eachOf(t.tx, q, []any{account}, asked, func(r db.Row) error {
			var thread, target int64
			if err := r.Scan(&thread, &target); err != nil {
				return err
			}
			t.merged[key{account, thread}] = target
			known = append(known, target)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// root is the thread that thread is part of by now.
func (t *threads) root(account, thread int64) int64 {
	for {
		target, ok := t.merged[key{account, thread}]
		if !ok {
			return thread
		}
		thread = target
	}
}

// place puts a line into its thread. A later line may still merge that into
// another: root tells.
func (t *threads) place(l *line) error {
	thread, err := t.named(l)
	if err != nil {
		return err
	}
	if thread < 0 {
		thread = t.alike(l)
	}
	if thread < 0 {
		thread = l.entry
	}
	l.thread = thread
	t.added[key{l.account, thread}]++
	t.note(l)
	return nil
}

// named is the thread of the messages that a line names, or -1.
func (t *threads) named(l *line) (int64, error) {
	var found []int64
	for _, h := range l.references {
		if thread, ok := t.refs[key{l.account, h}]; ok {
			found = append(found, t.root(l.account, thread))
		}
	}
	found = unique(found)
	if len(found) == 0 {
		return -1, nil
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return t.merge(l.account, found)
}

// merge makes the smaller threads part of the largest, of equals the first.
func (t *threads) merge(account int64, found []int64) (int64, error) {
	sizes := make(map[int64]int, len(found))
	for _, thread := range found {
		n, err := t.size(key{account, thread})
		if err != nil {
			return 0, err
		}
		sizes[thread] = n
	}
	into := found[0]
	for _, thread := range found[1:] {
		if sizes[thread] > sizes[into] {
			into = thread
		}
	}
	to := key{account, into}
	for _, thread := range found {
		from := key{account, thread}
		if thread == into || sizes[thread] > maxMove {
			continue
		}
		t.merged[from] = into
		t.newMerged = append(t.newMerged, from)
		t.stored[to] += t.stored[from]
		t.added[to] += t.added[from]
	}
	return into, nil
}

// size counts the messages of a thread, as far as maxMove+1.
func (t *threads) size(k key) (int, error) {
	n, ok := t.stored[k]
	if !ok {
		const q = "SELECT count(*) FROM (SELECT 1 FROM mail_holding WHERE account = ? AND thread = ? LIMIT ?) AS counted"
		if err := t.tx.One(q, []any{k.account, k.id, maxMove + 1}, &n); err != nil {
			return 0, fmt.Errorf("counting a thread: %w", err)
		}
		t.stored[k] = n
	}
	return min(n+t.added[k], maxMove+1), nil
}

// alike is the thread that a line belongs to by its subject, or -1.
func (t *threads) alike(l *line) int64 {
	s := t.subjects[key{l.account, l.about}]
	date := l.row >> numberBits
	if l.about == 0 || s == nil || date < s.oldest-window || date > s.newest+window {
		return -1
	}
	if !l.reply && (s.begun || date > s.newest) {
		return -1
	}
	return t.root(l.account, s.thread)
}

// note remembers what later messages may ask about a line.
func (t *threads) note(l *line) {
	for _, h := range l.references {
		k := key{l.account, h}
		if _, ok := t.refs[k]; !ok {
			t.refs[k] = l.thread
			t.newRefs = append(t.newRefs, k)
		}
	}
	if l.about == 0 {
		return
	}
	k := key{l.account, l.about}
	date := l.row >> numberBits
	s := t.subjects[k]
	switch {
	case s == nil:
		s = &subject{thread: l.thread, oldest: date, newest: date, begun: !l.reply}
		t.subjects[k] = s
	case t.root(l.account, s.thread) == l.thread:
		s.oldest, s.newest = min(s.oldest, date), max(s.newest, date)
		s.begun = s.begun || !l.reply
	case date >= s.newest:
		s.thread, s.oldest, s.newest, s.begun = l.thread, date, date, !l.reply
	default:
		return
	}
	if !s.changed {
		s.changed = true
		t.changed = append(t.changed, k)
	}
}

// flush writes what was decided. The batch's own holdings are not in the
// table yet and are written with their last threads.
func (t *threads) flush() error {
	var merged, refs, subjects []any
	for _, k := range t.newMerged {
		const q = "UPDATE mail_holding SET thread = ? WHERE account = ? AND thread = ?"
		if _, err := t.tx.Exec(q, t.root(k.account, k.id), k.account, k.id); err != nil {
			return fmt.Errorf("moving a thread: %w", err)
		}
		merged = append(merged, k.account, k.id, t.merged[k])
	}
	for _, k := range sorted(t.newRefs) {
		refs = append(refs, k.account, k.id, t.refs[k])
	}
	for _, k := range sorted(t.changed) {
		s := t.subjects[k]
		if !s.stored {
			subjects = append(subjects, k.account, k.id, s.thread, s.oldest, s.newest, number(s.begun))
			continue
		}
		const q = "UPDATE mail_subject SET thread = ?, oldest = ?, newest = ?, begun = ? WHERE account = ? AND hash = ?"
		if _, err := t.tx.Exec(q, s.thread, s.oldest, s.newest, number(s.begun), k.account, k.id); err != nil {
			return fmt.Errorf("noting the thread of a subject: %w", err)
		}
	}
	if err := insert(t.tx, "mail_merged (account, thread, target)", 3, merged); err != nil {
		return err
	}
	if err := insert(t.tx, "mail_reference (account, hash, thread)", 3, refs); err != nil {
		return err
	}
	return insert(t.tx, "mail_subject (account, hash, thread, oldest, newest, begun)", 6, subjects)
}

// sorted orders keys as the tables do, which keeps writes together.
func sorted(keys []key) []key {
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.id, b.id))
	})
	return keys
}

// unique sorts ids and drops repeated ones.
func unique(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
