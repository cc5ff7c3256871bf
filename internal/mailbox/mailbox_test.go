package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
)

// world is a mailbox with the entries that it was made from.
type world struct {
	*Mailbox
	t     testing.TB
	items []*record.Item
}

// day0 is when the world begins; its entries are an hour apart.
var day0 = time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)

func newWorld(t testing.TB) *world {
	t.Helper()
	d, err := db.OpenSQLite(context.Background(), filepath.Join(t.TempDir(), "mail.db"), db.Options{Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	m := New(d)
	if err := d.Migrate(context.Background(), m.Name(), m.Migrations()); err != nil {
		t.Fatal(err)
	}
	return &world{Mailbox: m, t: t}
}

// mail is a message to be captured: header fields and a body, in the order
// of writing. Date is set apart from the entry's time.
type mail struct {
	id, refs, subject string
	date              time.Time
	env               message.Envelope
	holders           []int64
	body              string
}

func (w *world) item(index int64, x mail) *record.Item {
	when := day0.Add(time.Duration(index) * time.Hour)
	if x.date.IsZero() {
		x.date = when
	}
	if x.holders == nil {
		x.holders = []int64{1}
	}
	if x.env.Time.IsZero() {
		x.env.Time = when
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: Writer <writer@diwan.example>\r\nTo: Reader <reader@diwan.example>\r\nDate: %s\r\nSubject: %s\r\n",
		x.date.Format(time.RFC1123Z), x.subject)
	if x.id != "" {
		fmt.Fprintf(&b, "Message-ID: <%s>\r\n", x.id)
	}
	if x.refs != "" {
		b.WriteString("References: <" + strings.ReplaceAll(x.refs, " ", "> <") + ">\r\n")
	}
	b.WriteString("\r\n" + x.body + "\r\n")
	c := &record.Content{Envelope: x.env, Message: []byte(b.String())}
	e := &sijill.Entry{Kind: sijill.Captured, Time: when}
	return record.NewItem(index, e, x.holders, func() (*record.Content, error) { return c, nil })
}

// capture adds messages as the next entries and applies them in one batch.
func (w *world) capture(mails ...mail) {
	w.t.Helper()
	from := len(w.items)
	for _, x := range mails {
		w.items = append(w.items, w.item(int64(len(w.items)), x))
	}
	w.apply(w.items[from:])
}

func (w *world) apply(items []*record.Item) {
	w.t.Helper()
	prepared := make([]any, len(items))
	for i, it := range items {
		var err error
		if prepared[i], err = w.Prepare(it); err != nil {
			w.t.Fatal(err)
		}
	}
	w.write(func(tx *db.Tx) error { return w.Apply(context.Background(), tx, items, prepared) })
}

func (w *world) write(fn func(*db.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(context.Background(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// rebuild applies all entries anew, batch at a time.
func (w *world) rebuild(batch int) {
	w.t.Helper()
	w.write(func(tx *db.Tx) error { return w.Reset(context.Background(), tx) })
	for part := range slices.Chunk(w.items, batch) {
		w.apply(part)
	}
}

func (w *world) dump() []string {
	w.t.Helper()
	var lines []string
	err := w.db.Read(context.Background(), func(tx *db.Tx) error {
		return w.Dump(context.Background(), tx, func(s string) error { lines = append(lines, s); return nil })
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

func (w *world) folder(account int64, name string) Folder {
	w.t.Helper()
	list, err := w.Folders(context.Background(), account)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range list {
		if f.Name == name {
			return f
		}
	}
	w.t.Fatalf("account %d has no folder %q", account, name)
	return Folder{}
}

func (w *world) get(account, entry int64) Row {
	w.t.Helper()
	r, err := w.Get(context.Background(), account, entry)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestRow(t *testing.T) {
	w := newWorld(t)
	internal := day0.AddDate(-1, 0, 0)
	w.capture(mail{id: "a@x", subject: "=?utf-8?B?2LPYrNmE?= 7", body: "The seal of\r\nthe office.", date: day0.AddDate(-2, 0, 0),
		env: message.Envelope{Internal: &internal}})
	r := w.get(1, 0)
	if r.Subject != "سجل 7" || r.From.Addr != "writer@diwan.example" || r.From.Name != "Writer" || r.To != "Reader" {
		t.Errorf("row: %+v", r)
	}
	if r.Snippet != "The seal of the office." || r.Size != int64(len(content(t, w.items[0]))) || r.Seen {
		t.Errorf("row: %+v", r)
	}
	if !r.Date.Equal(day0.AddDate(-2, 0, 0)) || r.ID != RowID(r.Date, 0) {
		t.Errorf("sorted under %v, row %d", r.Date, r.ID)
	}
	d, err := w.Dates(t.Context(), 1, 0)
	want := Dates{Sent: day0.AddDate(-2, 0, 0), Internal: internal, Captured: day0}
	if err != nil || d != want {
		t.Errorf("dates %+v, %v; want %+v", d, err, want)
	}
}

func content(t *testing.T, it *record.Item) []byte {
	t.Helper()
	c, err := it.Content()
	if err != nil {
		t.Fatal(err)
	}
	return c.Message
}

func TestSortDate(t *testing.T) {
	internal := day0.AddDate(-3, 0, 0)
	for _, c := range []struct {
		name       string
		date, want time.Time
		internal   *time.Time
	}{
		{"header", day0.AddDate(-9, 0, 0), day0.AddDate(-9, 0, 0), &internal},
		{"a little ahead", day0.Add(23 * time.Hour), day0.Add(23 * time.Hour), &internal},
		{"from the future, imported", day0.AddDate(9, 0, 0), internal, &internal},
		{"from the future", day0.AddDate(9, 0, 0), day0, nil},
		{"before 1970", time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC), day0, nil},
	} {
		w := newWorld(t)
		w.capture(mail{date: c.date, env: message.Envelope{Internal: c.internal}})
		if got := w.get(1, 0).Date; !got.Equal(c.want) {
			t.Errorf("%s: sorted under %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRowID(t *testing.T) {
	if got := RowID(time.Unix(5, 0), 1<<24|7); got != 5<<24|7 {
		t.Errorf("got %#x", got)
	}
	if got := RowID(time.Unix(-5, 0), 7); got != 7 {
		t.Errorf("before 1970: %#x", got)
	}
	if got := RowID(time.Unix(1<<60, 0), 7); got <= 0 || got>>24 != 1<<38-1 {
		t.Errorf("far future: %#x", got)
	}
}

func TestRowsThatCollide(t *testing.T) {
	w := newWorld(t)
	for _, index := range []int64{5, 5 + 1<<24, 5 + 2<<24, 6 + 1<<24} {
		w.items = append(w.items, w.item(index, mail{date: day0, env: message.Envelope{Time: day0}}))
	}
	w.apply(w.items)
	first := w.dump()
	for i, it := range w.items {
		if got, want := w.get(1, it.Index).ID, RowID(day0, 5)+int64(i); got != want {
			t.Errorf("entry %d: row %d, want %d", it.Index, got, want)
		}
	}
	w.rebuild(1)
	same(t, w.dump(), first)
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "(none)", "(none)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("line %d differs:\n%s\nwant\n%s", i, g, w)
		}
	}
}

// random makes n messages of few threads and subjects, in no order, some held
// by several accounts, some unreadable.
func (w *world) random(n int) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(n int) string { return fmt.Sprint(r.IntN(n)) }
	for i := range int64(n) {
		x := mail{id: pick(n) + "@x", subject: "about " + pick(40), body: pick(9),
			date: day0.Add(-time.Duration(r.IntN(4000)) * time.Hour), holders: []int64{1 + r.Int64N(3)}}
		for range r.IntN(4) {
			x.refs = strings.TrimSpace(x.refs + " " + pick(n) + "@x")
		}
		if r.IntN(2) == 0 {
			x.subject = "Re: " + x.subject
		}
		if r.IntN(3) == 0 {
			x.holders = []int64{3, 1, 2}
		}
		x.env.Seen = r.IntN(3) == 0
		x.env.Folder = []string{"", "", "INBOX", "old mail", "أرشيف"}[r.IntN(5)]
		it := w.item(i, x)
		if r.IntN(20) == 0 {
			it = record.NewItem(i, it.Entry, it.Holders, nil)
		}
		w.items = append(w.items, it)
	}
}

func TestRebuild(t *testing.T) {
	w := newWorld(t)
	w.random(700)
	w.rebuild(53)
	first := w.dump()
	if !slices.ContainsFunc(first, func(s string) bool { return strings.HasPrefix(s, "merged ") }) {
		t.Fatal("no threads were merged: the test shows little")
	}
	for _, batch := range []int{1, 300, 700} {
		w.rebuild(batch)
		same(t, w.dump(), first)
	}
	other := newWorld(t)
	other.items = w.items
	other.rebuild(700)
	same(t, other.dump(), first)
}

func TestSeenOutlivesRebuild(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{}, mail{env: message.Envelope{Seen: true}}, mail{}, mail{env: message.Envelope{Seen: true}, holders: []int64{1, 2}})
	check := func(when string, unseen int64, seen ...bool) {
		t.Helper()
		if got := w.folder(1, "Inbox"); got.Unseen != unseen || got.Total != 4 {
			t.Errorf("%s: %d of %d unseen, want %d", when, got.Unseen, got.Total, unseen)
		}
		for i, want := range seen {
			if w.get(1, int64(i)).Seen != want {
				t.Errorf("%s: entry %d seen = %v", when, i, !want)
			}
		}
	}
	check("at first", 2, false, true, false, true)
	for range 2 { // Saying it twice counts once.
		for entry, seen := range map[int64]bool{0: true, 1: false} {
			if err := w.MarkSeen(t.Context(), 1, entry, seen); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.MarkSeen(t.Context(), 1, 3, false); err != nil {
		t.Fatal(err)
	}
	check("after marking", 3, true, false, false, false)
	if w.folder(2, "Inbox").Unseen != 0 {
		t.Error("marking for one account changed another's counter")
	}
	w.rebuild(3)
	check("after a rebuild", 3, true, false, false, false)
	if !w.get(2, 3).Seen || w.folder(2, "Inbox").Unseen != 0 {
		t.Error("marking for one account changed another's")
	}
	if slices.ContainsFunc(w.dump(), func(s string) bool { return strings.HasPrefix(s, "miscounted ") }) {
		t.Error("a counter is off")
	}
}

func TestFolders(t *testing.T) {
	w := newWorld(t)
	old := message.Envelope{Folder: "old mail"}
	w.capture(mail{env: old}, mail{env: message.Envelope{Folder: "iNBOX"}, holders: []int64{1, 2}}, mail{env: old})
	list, err := w.Folders(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []Folder{
		{Name: "Inbox", Role: RoleInbox, Total: 1, Unseen: 1, UIDNext: 3},
		{Name: "old mail", Role: RoleImport, Total: 2, Unseen: 2, UIDNext: 4},
	}
	for i, f := range list {
		if f.ID == 0 || f.UIDValidity < day0.Unix() || f.ModSeq < day0.UnixMilli() || f.Account != 1 || f.Class != sijill.Office || !f.Subscribed {
			t.Errorf("folder %+v", f)
		}
		list[i] = Folder{Name: f.Name, Role: f.Role, Total: f.Total, Unseen: f.Unseen, UIDNext: f.UIDNext}
	}
	if !slices.Equal(list, want) {
		t.Errorf("got %+v", list)
	}
	for entry, uid := range []int64{1, 2, 3} {
		if got := w.get(1, int64(entry)).UID; got != uid {
			t.Errorf("entry %d: UID %d", entry, got)
		}
	}
}

func TestOnlyMessagesHaveRows(t *testing.T) {
	w := newWorld(t)
	entry := &sijill.Entry{Kind: sijill.Captured, Time: day0}
	w.items = []*record.Item{
		record.NewItem(0, &sijill.Entry{Kind: sijill.Config, Time: day0}, nil, nil),
		record.NewItem(1, &sijill.Entry{Kind: sijill.Opened, Time: day0}, []int64{1}, w.item(1, mail{}).Content),
		record.NewItem(2, entry, []int64{1}, nil),                // Cold or destroyed.
		record.NewItem(3, entry, nil, w.item(3, mail{}).Content), // Held by nobody.
		w.item(4, mail{}),
	}
	w.apply(w.items)
	if f := w.folder(1, "Inbox"); f.Total != 1 {
		t.Errorf("%d rows, want 1", f.Total)
	}
	boom := errors.New("damaged")
	_, err := w.Prepare(record.NewItem(5, entry, []int64{1}, func() (*record.Content, error) { return nil, boom }))
	if !errors.Is(err, boom) {
		t.Errorf("a damaged message: %v", err)
	}
}

func TestIsolation(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{id: "a@x", holders: []int64{1, 2}}, mail{id: "b@x", holders: []int64{1}})
	ctx := t.Context()
	inbox, row := w.folder(1, "Inbox"), w.get(1, 1)
	_, listErr := w.List(ctx, 2, inbox.ID, 0, 10)
	_, getErr := w.Get(ctx, 2, 1)
	_, dateErr := w.Dates(ctx, 2, 1)
	_, posErr := w.Position(ctx, 2, inbox.ID, row.ID)
	for _, err := range []error{listErr, getErr, dateErr, posErr, w.MarkSeen(ctx, 2, 1, true)} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	}
	rows, err := w.Rows(ctx, 2, []int64{row.ID, w.get(1, 0).ID})
	if err != nil || len(rows) != 1 || rows[0].Entry != 0 {
		t.Errorf("rows %v, %v", rows, err)
	}
	if rows, err = w.Thread(ctx, 2, row.Thread); err != nil || len(rows) != 0 {
		t.Errorf("thread %v, %v", rows, err)
	}
}

func TestListAtEveryOffset(t *testing.T) {
	w := newWorld(t)
	w.random(300)
	w.rebuild(300)
	f := w.folder(1, "Inbox")
	var all []Row
	for offset := int64(0); offset < f.Total; offset += 7 {
		part, err := w.List(t.Context(), 1, f.ID, offset, 7)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, part...)
	}
	newestFirst := func(a, b Row) int { return int(min(max(b.ID-a.ID, -1), 1)) }
	if int64(len(all)) != f.Total || !slices.IsSortedFunc(all, newestFirst) {
		t.Fatalf("%d rows of %d, sorted: %v", len(all), f.Total, slices.IsSortedFunc(all, newestFirst))
	}
	for i, r := range all {
		if pos, err := w.Position(t.Context(), 1, f.ID, r.ID); err != nil || pos != int64(i) {
			t.Fatalf("row %d is at %d, %v", i, pos, err)
		}
	}
	ids := []int64{all[5].ID, all[0].ID, 12345, all[90].ID}
	rows, err := w.Rows(t.Context(), 1, ids)
	if err != nil || len(rows) != 3 || rows[0] != all[5] || rows[1] != all[0] || rows[2] != all[90] {
		t.Fatalf("rows by id: %v %v", rows, err)
	}
	for _, past := range []int64{f.Total, f.Total + 9} {
		if rows, err := w.List(t.Context(), 1, f.ID, past, 7); err != nil || len(rows) != 0 {
			t.Fatalf("past the end: %v, %v", rows, err)
		}
	}
}

func TestLookupsForSearch(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{holders: []int64{2, 1}, env: message.Envelope{Folder: "old"}}, mail{})
	w.write(func(tx *db.Tx) error {
		rows, err := RowOf(tx, []int64{0, 1, 99})
		if err != nil || len(rows) != 2 || rows[0] != w.get(1, 0).ID {
			t.Errorf("rows of entries: %v, %v", rows, err)
		}
		holders, err := HoldersOf(tx, []int64{rows[0], rows[1], 99})
		if err != nil || len(holders) != 2 || !slices.Equal(holders[rows[0]], []int64{1, 2}) {
			t.Errorf("holders: %v, %v", holders, err)
		}
		return nil
	})
}

func TestLongStringsAreCut(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("ديوان ", 2000)
	w.capture(mail{subject: long, body: long, env: message.Envelope{Folder: long}})
	r := w.get(1, 0)
	if len(r.Subject) > maxSubject || !strings.HasSuffix(r.Subject, "…") || len(r.Snippet) > maxSnippet {
		t.Errorf("subject %d, snippet %d octets", len(r.Subject), len(r.Snippet))
	}
	if strings.ContainsRune(r.Subject+r.Snippet, '\uFFFD') {
		t.Error("cut inside a character")
	}
}

func TestDisplay(t *testing.T) {
	var list []message.Address
	for i := range 30 {
		list = append(list, message.Address{Addr: fmt.Sprintf("person%d@diwan.example", i)})
	}
	if got := display(list[:2]); got != "person0@diwan.example, person1@diwan.example" {
		t.Errorf("two: %q", got)
	}
	if got := display(list); len(got) > maxTo || !strings.HasSuffix(got, ", +27") {
		t.Errorf("thirty: %q", got)
	}
}
