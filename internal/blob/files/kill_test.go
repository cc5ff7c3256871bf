package files_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sijill/internal/blob"
	"sijill/internal/blob/blobtest"
	"sijill/internal/blob/files"
)

// appenderDir is the environment variable that makes the test binary an appender.
const appenderDir = "SIJILL_TEST_APPENDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(appenderDir); dir != "" {
		if err := appendForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// appendForEver appends until it is killed and prints each reference once it is
// acknowledged. It recovers nothing: it doesn't know what others were promised.
func appendForEver(dir string) error {
	s, err := openerIn(dir, files.OS{})()
	if err != nil {
		return err
	}
	for {
		seed := rand.Uint64()
		refs, err := s.Append(ctx, []blob.Frame{blobtest.MakeFrame(seed, 900), blobtest.MakeFrame(seed+1, 900)})
		if err != nil {
			return err
		}
		for i, r := range refs {
			fmt.Println(seed+uint64(i), r.Segment, r.Offset, r.Length)
		}
	}
}

// promise is a frame that an appender was told is durable.
type promise struct {
	seed uint64
	ref  blob.Ref
}

// Two processes append to one folder and are killed in the middle of it, again
// and again. Nothing that was acknowledged may be lost, and what comes after may
// not overwrite it.
func TestKilledProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	var promises []promise
	for round := range 6 {
		promises = append(promises, appendAndKill(t, dir, time.Duration(20+40*round)*time.Millisecond)...)
		refs := make([]blob.Ref, len(promises))
		for i, p := range promises {
			refs[i] = p.ref
		}
		s := open(t, openerIn(dir, files.OS{}))
		if err := s.Recover(ctx, blobtest.Ends(refs)); err != nil {
			t.Fatal(err)
		}
		seed := rand.Uint64()
		promises = append(promises, promise{seed, appendOne(t, s, blobtest.MakeFrame(seed, 900))})
		for _, p := range promises {
			if err := blobtest.CheckFrame(s, p.ref, blobtest.MakeFrame(p.seed, 900)); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		_ = s.Close()
	}
	t.Logf("%d frames acknowledged", len(promises))
	if len(promises) < 100 {
		t.Fatalf("only %d frames: the test proves little", len(promises))
	}
	slices.SortFunc(promises, func(a, b promise) int {
		if a.ref.Segment != b.ref.Segment {
			return int(a.ref.Segment - b.ref.Segment)
		}
		return int(a.ref.Offset - b.ref.Offset)
	})
	for i := 1; i < len(promises); i++ {
		if a, b := promises[i-1].ref, promises[i].ref; a.Segment == b.Segment && a.End() > b.Offset {
			t.Fatalf("%+v overlaps %+v", a, b)
		}
	}
}

// appendAndKill runs two appenders for a while and returns what they were promised.
func appendAndKill(t *testing.T, dir string, after time.Duration) []promise {
	t.Helper()
	results := make(chan []promise)
	for range 2 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), appenderDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			var mine []promise
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				if len(mine) == 0 {
					time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
				}
				var p promise
				if n, _ := fmt.Sscan(lines.Text(), &p.seed, &p.ref.Segment, &p.ref.Offset, &p.ref.Length); n == 4 {
					mine = append(mine, p)
				}
			}
			_ = cmd.Wait()
			results <- mine
		}()
	}
	return append(<-results, <-results...)
}
