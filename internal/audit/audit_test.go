package audit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/audit"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

func letter(i int, holders ...int64) record.Draft {
	return record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: holders, Content: &record.Content{
		Envelope: message.Envelope{Door: "smtp", Time: time.Unix(1, 0)},
		Message:  fmt.Appendf(nil, "Subject: letter %d\r\n\r\nThe text of letter %d: %s\r\n", i, i, bytes.Repeat([]byte{byte('a' + i%26)}, 50*i))}}
}

func mustAppend(t *testing.T, h *recordtest.Home, d record.Draft) {
	t.Helper()
	if _, err := h.Register.Append(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// newOffice makes a register of 14 entries in several segments: letters, of which
// number 3 has two holders, a sealed detail (12) and an entry without a message
// (13).
func newOffice(t *testing.T) *recordtest.Home {
	h := &recordtest.Home{Dir: t.TempDir()}
	o := recordtest.Options{Segment: 1 << 10}
	if err := errors.Join(h.Create(t.Context(), o), h.Open(t.Context(), o)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.Owner(t, 1)
	h.Owner(t, 2)
	for i := range 12 {
		holders := []int64{1}
		if i == 3 {
			holders = []int64{1, 2}
		}
		mustAppend(t, h, letter(i, holders...))
	}
	mustAppend(t, h, record.Draft{Kind: sijill.Imported, Actor: "import", Holders: []int64{1}, Detail: map[string]int{"n": 1}})
	mustAppend(t, h, record.Draft{Kind: sijill.Config, Actor: "server", Fields: map[string]string{"event": "test"}})
	return h
}

func mustAudit(t *testing.T, h *recordtest.Home, earlier ...[]byte) *audit.Report {
	t.Helper()
	r, err := h.Audit(t.Context(), earlier...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSoundRegister(t *testing.T) {
	h := newOffice(t)
	r := mustAudit(t, h)
	if !r.Sound() || r.Entries != 14 || r.Messages != 13 || r.Opened != 13 || r.Closed != 0 || r.Unclaimed != 0 || r.Checkpoint != 2 {
		t.Fatalf("%+v", r)
	}
}

// exec changes rows behind the register's back.
func exec(query string, args ...any) func(*testing.T, *recordtest.Home) {
	return func(t *testing.T, h *recordtest.Home) {
		t.Helper()
		err := h.DB.Write(t.Context(), func(tx *db.Tx) error {
			n, err := tx.Exec(query, args...)
			if err == nil && n == 0 {
				return errors.New("no row was changed")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// flip changes a bit of a blob: the byte at, from its end if negative.
func flip(table, column, where string, at int) func(*testing.T, *recordtest.Home) {
	return func(t *testing.T, h *recordtest.Home) {
		t.Helper()
		err := h.DB.Write(t.Context(), func(tx *db.Tx) error {
			var b []byte
			if err := tx.One(fmt.Sprintf("SELECT %s FROM %s WHERE %s", column, table, where), nil, &b); err != nil {
				return err
			}
			i := at
			if i < 0 {
				i += len(b)
			}
			b[i] ^= 4
			_, err := tx.Exec(fmt.Sprintf("UPDATE %s SET %s = ? WHERE %s", table, column, where), b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// frame finds the file of an entry's frame and where it begins.
func frame(t *testing.T, h *recordtest.Home, entry int) (name string, at, length int64) {
	t.Helper()
	var segment int64
	err := h.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.One("SELECT segment, at, length FROM entry WHERE number = ?", []any{entry}, &segment, &at, &length)
	})
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(h.Dir, "segments", fmt.Sprintf("%08d.seg", segment)), at, length
}

// inFile changes the file of an entry's frame.
func inFile(entry int, change func(b []byte, at, length int64) []byte) func(*testing.T, *recordtest.Home) {
	return func(t *testing.T, h *recordtest.Home) {
		t.Helper()
		name, at, length := frame(t, h, entry)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(name, 0o600)
		if err := os.WriteFile(name, change(b, at, length), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func flipAt(entry int, offset func(at, length int64) int64) func(*testing.T, *recordtest.Home) {
	return inFile(entry, func(b []byte, at, length int64) []byte {
		b[offset(at, length)] ^= 1
		return b
	})
}

// Whatever is damaged, the audit names it.
func TestDamage(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*testing.T, *recordtest.Home)
		want string // Begins one of the findings.
		all  int    // How many findings there are; 0 for any number.
	}{
		"entry: time":          {flip("entry", "compact", "number = 5", 3), "entries 4 to 5", 0},
		"entry: last byte":     {flip("entry", "compact", "number = 5", -2), "", 0},
		"entry: without body":  {flip("entry", "compact", "number = 13", 4), "", 0},
		"entry: cut":           {exec("UPDATE entry SET compact = substr(compact, 1, 20) WHERE number = 5"), "entry 5", 0},
		"entry: empty":         {exec("UPDATE entry SET compact = x'' WHERE number = 5"), "entry 5", 0},
		"entry: another's":     {exec("UPDATE entry SET compact = (SELECT compact FROM entry WHERE number = 6) WHERE number = 5"), "entry 5", 0},
		"entry: missing":       {exec("DELETE FROM entry WHERE number = 5"), "entry 5: its row is missing", 0},
		"entry: first missing": {exec("DELETE FROM entry WHERE number = 0"), "entry 0: its row is missing", 0},
		"entry: last missing":  {exec("DELETE FROM entry WHERE number = 13"), "entry 13: its row is missing", 0},
		"entry: one too many":  {exec("INSERT INTO entry (number, compact) SELECT 14, compact FROM entry WHERE number = 13"), "entries: 1 rows", 1},
		"entry: no place":      {exec("UPDATE entry SET segment = NULL WHERE number = 5"), "entry 5: it does not say where", 0},
		"entry: place given":   {exec("UPDATE entry SET segment = 1, at = 32, length = 5 WHERE number = 13"), "entry 13: it has no message but", 1},
		"entry: another place": {exec("UPDATE entry SET at = (SELECT at FROM entry WHERE number = 0), segment = 1, length = (SELECT length FROM entry WHERE number = 0) WHERE number = 5"),
			"entry 5: segment 1 at 32: the message there has another id", 0},
		"entry: impossible place": {exec("UPDATE entry SET at = -5 WHERE number = 5"), "entry 5: segment", 0},
		"entry: huge":             {exec("UPDATE entry SET length = 1 << 60 WHERE number = 5"), "entry 5: segment", 0},

		"hash: flipped":       {flip("hash", "hash", "number = 2", 9), "entries 0 to 1", 1},
		"hash: higher up":     {flip("hash", "hash", "number = 6", 9), "entries 0 to 3", 1},
		"hash: cut":           {exec("UPDATE hash SET hash = x'00' WHERE number = 2"), "entries 0 to 1", 1},
		"hash: missing":       {exec("DELETE FROM hash WHERE number = 2"), "entries 0 to 1: the tree's hash 2 over them: it is missing", 1},
		"hash: beyond":        {exec("INSERT INTO hash (number, hash) VALUES (1000, zeroblob(32))"), "tree hashes: 1 rows", 1},
		"hash: before":        {exec("INSERT INTO hash (number, hash) VALUES (-1, zeroblob(32))"), "tree hashes: 1 rows", 1},
		"hash: where none is": {exec("INSERT INTO hash (number, hash) VALUES (0, zeroblob(32))"), "tree hashes: 1 rows", 1},

		"head: signature":    {flip("head", "checkpoint", "id = 1", -9), "head:", 1},
		"head: text":         {flip("head", "checkpoint", "id = 1", 2), "head:", 1},
		"head: an older one": {exec("UPDATE head SET checkpoint = (SELECT note FROM checkpoint)"), "head: its checkpoint has 1 entries, the register 14", 1},
		"head: set back":     {exec("UPDATE head SET size = 10"), "head: it has 14 entries, the register only 10: the register was set back", 0},
		"head: too large":    {exec("UPDATE head SET size = 15"), "entry 14: its row is missing", 0},
		"head: origin":       {exec("UPDATE head SET origin = 'other.example/register'"), "head: it is of the register", 0},
		"head: none":         {exec("DELETE FROM head"), "head: it can't be read", 1},
		"checkpoint":         {flip("checkpoint", "note", "size = 1", -9), "checkpoint of size 1:", 1},
		"checkpoint: text":   {flip("checkpoint", "note", "size = 1", 30), "checkpoint of size 1:", 1},

		"key: flipped":               {flip("message_key", "wrapped", "entry = 5", 3), "entry 5: segment", 1},
		"key: empty":                 {exec("UPDATE message_key SET wrapped = x'' WHERE entry = 5"), "entry 5: segment", 1},
		"key: another's":             {exec("UPDATE message_key SET wrapped = (SELECT wrapped FROM message_key WHERE entry = 6) WHERE entry = 5"), "entry 5: segment", 1},
		"key: missing":               {exec("DELETE FROM message_key WHERE entry = 5"), "entry 5: no wrapped key of its message is left", 1},
		"key: first of two holders":  {flip("message_key", "wrapped", "entry = 3 AND compartment = 1", 3), "entry 3: its key for compartment 1", 1},
		"key: second of two holders": {flip("message_key", "wrapped", "entry = 3 AND compartment = 2", 3), "entry 3: its key for compartment 2", 1},
		"key: beyond":                {exec("INSERT INTO message_key (entry, compartment, wrapped) VALUES (14, 1, x'00')"), "message keys: 1 rows", 1},
		"compartment's key":          {flip("compartment_key", "wrapped", "compartment = 1 AND holder = 'server'", 15), "entry 12: segment", 13},
		"second compartment's key":   {flip("compartment_key", "wrapped", "compartment = 2 AND holder = 'server'", 15), "entry 3: its key for compartment 2", 1},

		"compartment's mask": {exec("UPDATE mask SET mask = zeroblob(32) WHERE id IN (SELECT mask FROM compartment_key WHERE compartment = 1)"), "entry 12: segment", 13},
		"compartment's keys": {exec("DELETE FROM compartment_key WHERE compartment = 1"), "compartment 1: no wrapped key", 1},

		"segment: header":        {flipAt(5, func(int64, int64) int64 { return 3 }), "entry 5: segment", 0},
		"segment: header number": {flipAt(5, func(int64, int64) int64 { return 31 }), "entry 5: segment", 0},
		"segment: frame length":  {flipAt(5, func(at, _ int64) int64 { return at + 3 }), "entry 5: segment", 1},
		"segment: id":            {flipAt(5, func(at, _ int64) int64 { return at + 4 }), "entry 5: segment", 1},
		"segment: first byte":    {flipAt(5, func(at, _ int64) int64 { return at + 20 }), "entry 5: segment", 1},
		"segment: last byte":     {flipAt(5, func(at, n int64) int64 { return at + 20 + n - 1 }), "entry 5: segment", 1},
		"segment: detail":        {flipAt(12, func(at, n int64) int64 { return at + 20 + n/2 }), "entry 12: segment", 1},
		"segment: cut":           {inFile(12, func(b []byte, at, n int64) []byte { return b[:at+20+n-1] }), "entry 12: segment", 0},
		"segment: empty":         {inFile(12, func([]byte, int64, int64) []byte { return nil }), "entry 12: segment", 0},
		"segment: missing": {func(t *testing.T, h *recordtest.Home) {
			name, _, _ := frame(t, h, 5)
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}, "entry 5: segment", 0},
		"segment end: early":   {exec("UPDATE segment_end SET at = at - 1 WHERE segment = 1"), "segment 1: its messages end at", 1},
		"segment end: late":    {exec("UPDATE segment_end SET at = at + 1 WHERE segment = 1"), "segment 1: its messages end at", 1},
		"segment end: missing": {exec("DELETE FROM segment_end WHERE segment = 1"), "segment 1: its messages end at", 1},
		"segment end: strange": {exec("INSERT INTO segment_end (segment, at) VALUES (77, 99)"), "segment 77: its messages end at 0, and 99", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newOffice(t)
			c.do(t, h)
			h.Vault = recordtest.ColdVault(t, h)
			r := mustAudit(t, h)
			var all []string
			found := false
			for _, f := range r.Findings {
				line := f.What + ": " + f.Detail
				all = append(all, line)
				found = found || strings.HasPrefix(line, c.want)
				if strings.Contains(line, "The text") {
					t.Errorf("a finding shows content: %s", line)
				}
			}
			if r.Sound() || !found || c.all > 0 && len(all) != c.all {
				t.Errorf("findings, of which one begins %q:\n%s", c.want, strings.Join(all, "\n"))
			}
		})
	}
}

// What is in order is not a finding.
func TestNoDamage(t *testing.T) {
	for name, c := range map[string]struct {
		do                        func(*testing.T, *recordtest.Home)
		opened, closed, unclaimed int64
	}{
		"a closed compartment": {exec("DELETE FROM compartment_key WHERE compartment = 1 AND holder = 'server'"), 1, 12, 0},
		"all are closed":       {exec("DELETE FROM compartment_key WHERE holder = 'server'"), 0, 13, 0},
		"an append that failed": {inFile(12, func(b []byte, _, _ int64) []byte {
			return append(binary.BigEndian.AppendUint32(b, 5), make([]byte, 16+5)...)
		}), 13, 0, 25},
		"half an append": {inFile(12, func(b []byte, _, _ int64) []byte { return append(b, 0, 0, 1) }), 13, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			h := newOffice(t)
			c.do(t, h)
			h.Vault = recordtest.ColdVault(t, h)
			r := mustAudit(t, h)
			if !r.Sound() || r.Messages != 13 || r.Opened != c.opened || r.Closed != c.closed || r.Unclaimed != c.unclaimed {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A closed message's bytes are checked all the same.
func TestClosedAndDamaged(t *testing.T) {
	h := newOffice(t)
	exec("DELETE FROM compartment_key WHERE holder = 'server'")(t, h)
	flipAt(5, func(at, _ int64) int64 { return at + 25 })(t, h)
	h.Vault = recordtest.ColdVault(t, h)
	r := mustAudit(t, h)
	if len(r.Findings) != 1 || r.Findings[0].What != "entry 5" || r.Closed != 12 {
		t.Fatalf("%+v", r)
	}
}

// Any byte of the database's file: the audit says so, or the register does not
// open at all.
func TestDamagedPages(t *testing.T) {
	h := newOffice(t)
	if err := h.Close(); err != nil { // Leaves all in the one file.
		t.Fatal(err)
	}
	path := filepath.Join(h.Dir, "register.db")
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for at := 0; at < len(sound); at += page {
		b := bytes.Clone(sound)
		b[at+(at/page*977+13)%page] ^= 0x10
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.Open(t.Context(), recordtest.Options{Segment: 1 << 10}); err != nil {
			continue
		}
		if r := mustAudit(t, h); r.Sound() {
			t.Errorf("page %d is damaged and nothing was found", at/page+1)
		}
		_ = h.Close()
	}
}

// The register must continue every checkpoint that the auditor brings.
func TestEarlierCheckpoints(t *testing.T) {
	h := newOffice(t)
	var notes [][]byte
	for i := range 20 {
		_, note := h.Register.Head()
		notes = append(notes, note)
		mustAppend(t, h, letter(i, 1))
	}
	if r := mustAudit(t, h, notes...); !r.Sound() || r.Checkpoint != 2+20 {
		t.Fatalf("%+v", r)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	fork := &recordtest.Home{Dir: t.TempDir()}
	if err := os.CopyFS(fork.Dir, os.DirFS(h.Dir)); err != nil {
		t.Fatal(err)
	}
	o := recordtest.Options{Segment: 1 << 10}
	if err := errors.Join(h.Open(t.Context(), o), fork.Open(t.Context(), o)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fork.Close() })
	mustAppend(t, fork, letter(100, 1))
	_, theirs := fork.Register.Head()
	wantFinding(t, mustAudit(t, h, theirs), "earlier checkpoint 1: it has 35 entries, the register only 34")
	mustAppend(t, h, letter(101, 1))
	mustAppend(t, h, letter(102, 1))
	wantFinding(t, mustAudit(t, h, notes[3], theirs), "earlier checkpoint 2: the entries give another tree of size 35 than was signed")
	forged := bytes.Replace(theirs, []byte("\n35\n"), []byte("\n34\n"), 1)
	wantFinding(t, mustAudit(t, h, forged), "earlier checkpoint 1: ")
	wantFinding(t, mustAudit(t, h, []byte("nonsense")), "earlier checkpoint 1: ")
}

func wantFinding(t *testing.T, r *audit.Report, want string) {
	t.Helper()
	if len(r.Findings) != 1 || !strings.HasPrefix(r.Findings[0].What+": "+r.Findings[0].Detail, want) {
		t.Errorf("findings %v, want one: %s", r.Findings, want)
	}
}

// An auditor who knows other keys than the register signs with finds that out.
func TestAnotherKey(t *testing.T) {
	h := newOffice(t)
	keys, err := sijill.ParseKeys(newOffice(t).Register.Key())
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Run(t.Context(), audit.Options{DB: h.DB, Segments: filepath.Join(h.Dir, "segments"), Vault: h.Vault, Keys: keys})
	if err != nil || len(r.Findings) != 2 {
		t.Fatalf("%+v %v", r, err)
	}
}

// A register that grows while it is audited is sound.
func TestAuditWhileAppending(t *testing.T) {
	h := newOffice(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if _, err := h.Register.Append(context.Background(), letter(i%20, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for size := int64(0); size < 300 && !t.Failed(); size, _ = h.Register.Head() {
		for _, f := range mustAudit(t, h).Findings {
			t.Errorf("%s: %s", f.What, f.Detail)
		}
	}
	cancel()
	wg.Wait()
}

func TestManySegments(t *testing.T) {
	h := newOffice(t)
	for i := range 150 {
		d := letter(i, 1)
		for k := range d.Content.Message { // Noise: it does not compress.
			d.Content.Message[k] = byte(k * (k + i) * 2654435761 >> 16)
		}
		mustAppend(t, h, d)
	}
	names, err := filepath.Glob(filepath.Join(h.Dir, "segments", "*.seg"))
	if err != nil || len(names) < 100 {
		t.Fatalf("%d segments: %v", len(names), err)
	}
	var calls, last int64
	keys, err := sijill.ParseKeys(h.Register.Key())
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Run(t.Context(), audit.Options{DB: h.DB, Segments: filepath.Join(h.Dir, "segments"), Vault: h.Vault, Keys: keys,
		Progress: func(done, total int64) {
			if calls++; done <= last || total != 164 {
				t.Errorf("progress %d of %d", done, total)
			}
			last = done
		}})
	if err != nil || !r.Sound() || last != 164 {
		t.Fatalf("%+v %v, %d of 164", r, err, last)
	}
}

func TestCancelled(t *testing.T) {
	h := newOffice(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Audit(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
}

// Findings are bounded, and the rest is counted.
func TestManyFindings(t *testing.T) {
	h := newOffice(t)
	for i := range 300 {
		mustAppend(t, h, letter(i%10, 1))
	}
	exec("UPDATE message_key SET wrapped = x'00'")(t, h)
	r := mustAudit(t, h)
	if len(r.Findings) != audit.MaxFindings || int64(len(r.Findings))+r.More != r.Messages {
		t.Fatalf("%d findings and %d more, %d messages", len(r.Findings), r.More, r.Messages)
	}
}
