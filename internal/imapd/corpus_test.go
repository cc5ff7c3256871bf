package imapd

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// corpus opens a file of the shared test data, decompressed.
func corpus(t *testing.T, name string) io.Reader {
	t.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("no test data: set SIJILL_DATA to a folder with %s", name)
	}
	t.Cleanup(func() { f.Close() })
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

func edgeCases(t *testing.T) (all []string) {
	for archive := tar.NewReader(corpus(t, "mime-edge.tar.zst")); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg && len(b) > 0 && len(b) < 5<<20 {
			all = append(all, string(b))
		}
	}
}

func lists(t *testing.T) (all []string) {
	b, err := io.ReadAll(corpus(t, "lists-dkim.mbox.zst"))
	if err != nil {
		t.Fatal(err)
	}
	for part := range bytes.SplitSeq(append([]byte("\n"), b...), []byte("\nFrom ")) {
		if _, m, ok := bytes.Cut(part, []byte("\n")); ok && len(m) > 0 {
			all = append(all, string(m))
		}
	}
	return all[:min(len(all), 1500)]
}

// TestCorporaComeOutAsTheyWentIn appends real and broken messages and fetches
// them whole, in pieces and by their parts.
func TestCorporaComeOutAsTheyWentIn(t *testing.T) {
	for name, read := range map[string]func(*testing.T) []string{"mime-edge": edgeCases, "lists-dkim": lists} {
		t.Run(name, func(t *testing.T) {
			h := serve(t)
			c := h.selected(t, officePassword, "INBOX")
			var kept []string
			for _, raw := range read(t) {
				c.start(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(raw), raw))
				_, tagged := c.finish()
				switch {
				case strings.HasPrefix(tagged, "OK"):
					kept = append(kept, raw)
				case !strings.Contains(raw, "\x00") || !strings.HasPrefix(tagged, "NO [CANNOT] The message has a NUL"):
					t.Fatalf("append: %s", tagged)
				}
			}
			if len(kept) < 100 {
				t.Fatalf("only %d messages", len(kept))
			}
			whole, halves := c.ok("FETCH 1:* BODY.PEEK[]"), c.ok("FETCH 1:* (BODY.PEEK[HEADER] BODY.PEEK[TEXT])")
			if len(whole) != len(kept) || len(halves) != len(kept) {
				t.Fatalf("%d and %d of %d came out", len(whole), len(halves), len(kept))
			}
			for i, raw := range kept {
				if want := fmt.Sprintf("* %d FETCH (BODY[] {%d}\r\n%s)", i+1, len(raw), raw); whole[i] != want {
					t.Fatalf("message %d differs", i)
				}
				_, rest, _ := strings.Cut(halves[i], "}\r\n")
				at := strings.LastIndex(rest, " BODY[TEXT] {")
				_, text, _ := strings.Cut(rest[max(at, 0):], "\r\n")
				if at < 0 || rest[:at]+strings.TrimSuffix(text, ")") != raw && !strings.Contains(raw, " BODY[TEXT] {") {
					t.Fatalf("the halves of message %d differ", i)
				}
			}
			c.ok("FETCH 1:* (BODYSTRUCTURE BODY ENVELOPE BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[2.1] BODY.PEEK[HEADER.FIELDS (Received)])")
		})
	}
}

// TestTwoClientsLoseNothing lets two clients do 200 things in one folder at
// once. Each keeps its own numbering, and at the end every message that was
// appended is where the responses said, once.
func TestTwoClientsLoseNothing(t *testing.T) {
	for name, h := range map[string]*house{"memory": serve(t), "register": func() *house { h, _ := serveReal(t); return h }()} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			alive := map[string]bool{} // what was appended and not expunged
			var wg sync.WaitGroup
			for who := range 2 {
				c := h.sign(t, officePassword)
				wg.Go(func() { busy(c, who, &mu, alive) })
			}
			wg.Wait()
			c := h.sign(t, officePassword)
			var found []string
			for _, folder := range []string{"INBOX", "Archive"} {
				c.ok("SELECT " + folder)
				for _, r := range c.ok("FETCH 1:* BODY.PEEK[]") {
					_, raw, _ := strings.Cut(r, "}\r\n")
					found = append(found, strings.TrimSuffix(raw, ")"))
				}
			}
			slices.Sort(found)
			for i, raw := range found {
				if !alive[raw] || i > 0 && found[i-1] == raw {
					t.Errorf("there, and should not be, or twice: %q", raw)
				}
			}
			if len(found) != len(alive) {
				t.Errorf("%d messages of %d are there", len(found), len(alive))
			}
		})
	}
}

// view is what a client knows of the folder, by the rules of IMAP.
type view struct{ uids []string }

func (v *view) hear(responses []string) {
	for _, r := range responses {
		f := strings.Fields(r)
		var n int
		switch {
		case len(f) == 3 && f[2] == "EXPUNGE":
			fmt.Sscan(f[1], &n)
			v.uids = slices.Delete(v.uids, n-1, n)
		case len(f) == 3 && f[2] == "EXISTS":
			fmt.Sscan(f[1], &n)
			for len(v.uids) < n {
				v.uids = append(v.uids, "?")
			}
		}
	}
}

// busy does a hundred things. Messages are its own, so that it knows what must
// become of them; what the other does it only hears of.
func busy(c *client, who int, mu *sync.Mutex, alive map[string]bool) {
	r := rand.New(rand.NewPCG(uint64(who), 1))
	v := &view{}
	v.hear(c.ok("SELECT INBOX"))
	own := map[string]string{} // UID to message, in INBOX
	for i := range 100 {
		var uid string
		for uid = range own {
			break
		}
		switch k := r.IntN(6); {
		case k < 3 || uid == "":
			raw := letter(1000*(who+1) + i)
			c.start(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(raw), raw))
			u, tagged := c.finish()
			v.hear(u)
			f := strings.Fields(strings.TrimSuffix(tagged, "]"))
			if f[0] != "OK" {
				c.t.Errorf("append: %s", tagged)
				return
			}
			own[strings.TrimSuffix(f[3], "]")] = raw
			mu.Lock()
			alive[raw] = true
			mu.Unlock()
		case k == 3:
			v.hear(c.ok("UID MOVE " + uid + " Archive"))
			delete(own, uid)
		case k == 4:
			v.hear(c.ok("UID STORE " + uid + ` +FLAGS (\Deleted)`))
			v.hear(c.ok("UID EXPUNGE " + uid))
			mu.Lock()
			delete(alive, own[uid])
			mu.Unlock()
			delete(own, uid)
		default:
			v.hear(c.ok("NOOP"))
			u := c.ok("FETCH 1:* UID")
			fetched := 0
			for _, r := range u {
				if strings.Contains(r, " FETCH (UID ") && !strings.Contains(r, "FLAGS") {
					fetched++
				}
			}
			if fetched > len(v.uids) {
				c.t.Errorf("%d messages were fetched of %d that were told", fetched, len(v.uids))
			}
			v.hear(u)
		}
	}
	v.hear(c.ok("NOOP"))
	if u := c.ok("UID SEARCH ALL"); len(strings.Fields(u[0]))-2 != len(v.uids) && len(u) == 1 {
		c.t.Errorf("%d messages are told of, %d were counted", len(strings.Fields(u[0]))-2, len(v.uids))
	}
}
