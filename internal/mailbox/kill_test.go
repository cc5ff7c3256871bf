package mailbox_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// house is a register with its mailbox, on disk.
type house struct {
	recordtest.Home
	mail     *db.DB
	mailbox  *mailbox.Mailbox
	follower *record.Follower
}

func openHouse(t *testing.T, dir string) *house {
	t.Helper()
	h := &house{Home: recordtest.Home{Dir: dir}}
	ctx := context.Background()
	if err := h.Open(ctx, recordtest.Options{Segment: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.mail, err = db.OpenSQLite(ctx, filepath.Join(dir, "mail.db"), db.Options{Key: [32]byte{7}, Relaxed: true}); err != nil {
		t.Fatal(err)
	}
	if err := mailbox.MigrateArrivals(ctx, h.DB); err != nil {
		t.Fatal(err)
	}
	h.mailbox = mailbox.New(h.mail)
	h.mailbox.Attach(h.DB, h.Register)
	if h.follower, err = h.Register.Follow(ctx, h.mail, filepath.Join(dir, "lease"), h.mailbox); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) close() {
	h.Close()
	h.mail.Close()
}

const killMails = 300 // Of each class.

func (h *house) fill(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	for i := range killMails {
		for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
			raw := fmt.Sprintf("From: a@diwan.example\r\nMessage-ID: <%s%d@x>\r\nSubject: %d\r\n\r\nBody.\r\n", class, i, i)
			c := &record.Content{Envelope: message.Envelope{Door: "imap", Time: time.Now()}, Message: []byte(raw)}
			_, err := h.Register.Append(ctx, record.Draft{Kind: sijill.Captured, Actor: "imap", Holders: []int64{1}, Class: class,
				Content: c, Fields: sijill.CapturedFields{Door: "imap", Class: class}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.follower.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
}

func (h *house) roles(t *testing.T, class sijill.Class) map[string]mailbox.Folder {
	t.Helper()
	list, err := h.mailbox.EnsureFolders(context.Background(), 1, class)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]mailbox.Folder{}
	for _, f := range list {
		out[f.Role] = f
	}
	return out
}

func (h *house) places(t *testing.T, folder int64) []mailbox.Place {
	t.Helper()
	list, err := h.mailbox.Places(context.Background(), 1, folder, 0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestKillChild is the process that TestKill kills. After each move or expunge
// that it was promised it writes a line.
func TestKillChild(t *testing.T) {
	dir := os.Getenv("SIJILL_KILL_DIR")
	if dir == "" {
		t.Skip("only as a child of TestKill")
	}
	h := openHouse(t, dir)
	if err := h.mailbox.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	promised, err := os.OpenFile(filepath.Join(dir, "promised"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	classes := []sijill.Class{sijill.Office, sijill.Personal}
	for {
		class := classes[r.IntN(2)]
		roles := h.roles(t, class)
		line := h.act(t, r, class, roles)
		if line == "" {
			continue
		}
		if _, err := promised.WriteString(line + "\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// act does something, and gives a line about what the register must have.
func (h *house) act(t *testing.T, r *rand.Rand, class sijill.Class, roles map[string]mailbox.Folder) string {
	inbox, archive := roles[mailbox.RoleInbox], roles[mailbox.RoleArchive]
	if r.IntN(2) == 0 {
		inbox, archive = archive, inbox
	}
	list := h.places(t, inbox.ID)
	if len(list) == 0 {
		return ""
	}
	p := list[r.IntN(len(list))]
	ctx, uids := context.Background(), []int64{p.UID}
	var err error
	line := ""
	switch r.IntN(4) {
	case 0:
		_, err = h.mailbox.Flag(ctx, 1, inbox.ID, uids, mailbox.Add, mailbox.FlagSeen, []string{"Seen"})
	case 1, 2:
		if _, err = h.mailbox.Move(ctx, 1, inbox.ID, uids, archive.ID); class == sijill.Office {
			line = "moved"
		}
	default:
		err = h.mailbox.Expunge(ctx, 1, inbox.ID, uids)
		line = map[sijill.Class]string{sijill.Office: "expunged", sijill.Personal: "destroyed"}[class]
	}
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// A server killed again and again in the middle of changes loses none that it
// promised, and the register has exactly one entry for each.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	home := recordtest.Home{Dir: dir}
	if err := home.Create(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
	h := openHouse(t, dir)
	h.Owner(t, 1)
	h.fill(t)
	h.close()
	r := rand.New(rand.NewPCG(5, 6))
	const rounds = 5
	for round := range rounds {
		child := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		child.Env = append(os.Environ(), "SIJILL_KILL_DIR="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300*time.Millisecond + time.Duration(r.IntN(500))*time.Millisecond)
		for end := time.Now().Add(10 * time.Second); h.promised() < 2*(round+1) && time.Now().Before(end); {
			time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond) // The machine has other things to do.
		}
		_ = child.Process.Kill()
		_ = child.Wait()
	}
	h = openHouse(t, dir)
	defer h.close()
	if err := h.mailbox.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.follower.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.compare(t, rounds)
	h.MustAudit(t)
}

// promised is how much was promised.
func (h *house) promised() int {
	b, _ := os.ReadFile(filepath.Join(h.Dir, "promised"))
	return strings.Count(string(b), "\n")
}

// compare holds what was promised against the register and the folders.
func (h *house) compare(t *testing.T, rounds int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Dir, "promised"))
	if err != nil {
		t.Fatal(err)
	}
	size, _ := h.Register.Head()
	entries, gone := map[sijill.Kind]int{}, map[int64]bool{}
	for n := range size {
		it, err := h.Register.Item(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		entries[it.Entry.Kind]++
		if k := it.Entry.Kind; k == sijill.Expunged || k == sijill.Destroyed {
			var f sijill.ExpungedFields
			if err := it.Entry.DecodeFields(&f); err != nil || len(f.Entries) != 1 || gone[f.Entries[0]] {
				t.Errorf("entry %d: %+v, %v", n, f, err)
				continue
			}
			gone[f.Entries[0]] = true
		}
	}
	total, promised := 0, 0
	for _, k := range []sijill.Kind{sijill.Moved, sijill.Expunged, sijill.Destroyed} {
		n := strings.Count(string(b), string(k)+"\n")
		t.Logf("%s: %d promised, %d entries", k, n, entries[k])
		if entries[k] < n {
			t.Errorf("%s: %d promised, %d entries", k, n, entries[k])
		}
		promised, total = promised+n, total+entries[k]
	}
	if promised < 10 || total > promised+rounds {
		t.Errorf("%d promised, %d entries, killed %d times", promised, total, rounds)
	}
	here := 0
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		for _, f := range h.roles(t, class) {
			for _, p := range h.places(t, f.ID) {
				if here++; gone[p.Entry] {
					t.Errorf("entry %d is there and said to be gone", p.Entry)
				}
			}
		}
	}
	if here+len(gone) != 2*killMails {
		t.Errorf("%d are there and %d gone, of %d", here, len(gone), 2*killMails)
	}
}
