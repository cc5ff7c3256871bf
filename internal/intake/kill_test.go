package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	killed   = 15
	killMail = 12_000
)

// killSource is an mbox in which every 50th thing is to be refused.
func killSource() (content string, refusals int) {
	var b strings.Builder
	for i := range killMail {
		if i%50 == 0 {
			b.WriteString(fromLine + "\n")
			refusals++
		}
		b.WriteString(fromLine + letter(i) + "\n")
	}
	return b.String(), refusals
}

// TestKillChild is the process that TestKill kills.
func TestKillChild(t *testing.T) {
	dir := os.Getenv("SIJILL_KILL_DIR")
	if dir == "" {
		t.Skip("only as a child of TestKill")
	}
	reg := openRegister(t, dir)
	reg.before = func(context.Context, *Mail) error {
		time.Sleep(4 * time.Millisecond)
		return nil
	}
	im := New(reg, reg, Options{InFlight: 64, SaveEvery: 10 * time.Millisecond})
	res, err := im.Import(context.Background(), Job{Account: 1, Path: filepath.Join(dir, "a.mbox"), Report: filepath.Join(dir, "report")})
	if err != nil || !res.Finished {
		t.Fatalf("%+v %v", res, err)
	}
}

// An import killed again and again ends with every message once, each refusal
// reported once, and counts that say so.
func TestKill(t *testing.T) {
	o := newOffice(t, Options{})
	content, refusals := killSource()
	o.put("a.mbox", content)
	rnd := rand.New(rand.NewPCG(3, 4))
	kills, resumed := 0, 0
	for {
		child := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		child.Env = append(os.Environ(), "SIJILL_KILL_DIR="+o.dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if kills < killed {
			timer := time.AfterFunc(time.Duration(50+rnd.IntN(100))*time.Millisecond, func() { child.Process.Kill() })
			err := child.Wait()
			timer.Stop()
			if err != nil {
				kills++
				if state, _ := os.ReadDir(o.dir); len(state) > 3 {
					resumed++
				}
				continue
			}
		} else if err := child.Wait(); err != nil {
			t.Fatal(err)
		}
		break
	}
	t.Logf("killed %d times, %d of them with progress saved", kills, resumed)
	if kills < killed {
		t.Errorf("ended after %d kills: make the source larger", kills)
	}
	o.checkKilled(refusals)
}

func (o *office) checkKilled(refusals int) {
	o.t.Helper()
	reg := openRegister(o.t, o.dir)
	times := map[string]int{}
	for _, k := range reg.kept {
		times[k.Hash]++
	}
	for i := range killMail {
		sum := sha256.Sum256([]byte(sealed(i)))
		if n := times[hex.EncodeToString(sum[:])]; n != 1 {
			o.t.Fatalf("letter %d is there %d times", i, n)
		}
	}
	list := reg.conclusions()
	if len(list) != 1 || len(reg.kept) != killMail {
		o.t.Fatalf("%d conclusions, %d messages", len(list), len(reg.kept))
	}
	c := list[0].Counts
	if c.Seen != int64(killMail+refusals) || c.Captured != killMail || c.Refused != int64(refusals) {
		o.t.Errorf("counts %+v", c)
	}
	remarks, sum := o.remarks(filepath.Join(o.dir, "report"))
	places := map[string]bool{}
	for _, m := range remarks {
		places[fmt.Sprint(m.Offset)] = true
	}
	if len(remarks) != refusals || len(places) != refusals || sum.Counts != c {
		o.t.Errorf("%d remarks on %d places, want %d; summary %+v", len(remarks), len(places), refusals, sum.Counts)
	}
}
