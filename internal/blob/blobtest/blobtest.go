// Package blobtest holds the tests that every driver of package blob passes, and
// a disk that fails and crashes on command, for the tests of whoever writes
// through it.
package blobtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"sijill/internal/blob"
)

// SegmentSize is the segment size, in bytes, that stores under test are to be
// opened with, so that a few frames fill a segment.
const SegmentSize = 4096

// Opener opens a store on one place; called again, it opens the same place.
type Opener func() (blob.Store, error)

// Run tests that a driver keeps the promises of blob.Store. place makes a new,
// empty place and is called once for each subtest.
func Run(t *testing.T, place func(t *testing.T) Opener) {
	tests := []struct {
		name string
		run  func(t *testing.T, open Opener)
	}{
		{"RoundTrip", roundTrip},
		{"KeepsNoHoldOnData", keepsNoHold},
		{"Sizes", sizes},
		{"Batch", batch},
		{"Roll", roll},
		{"Absent", absent},
		{"WrongReference", wrongReference},
		{"Context", cancelled},
		{"Closed", closed},
		{"Reopen", reopen},
		{"RecoverCuts", recoverCuts},
		{"RecoverFindsDamage", recoverFindsDamage},
		{"RecoverStops", recoverStops},
		{"RecoverLeavesWritersAlone", recoverLeavesWriters},
		{"Concurrent", concurrent},
		{"SeveralStores", severalStores},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, place(t)) })
	}
}

// MakeFrame returns a frame whose size and content follow from seed, so that
// CheckFrame can tell later whether it is the same. Data is 8 to 8+size bytes.
func MakeFrame(seed uint64, size int) blob.Frame {
	r := rand.New(rand.NewPCG(seed, 2))
	data := binary.BigEndian.AppendUint64(nil, seed)
	for range r.IntN(size + 1) {
		data = append(data, byte(r.Uint32()))
	}
	var id blob.ID
	binary.BigEndian.PutUint64(id[:], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return blob.Frame{ID: id, Data: data}
}

// CheckFrame says what is wrong with the frame that s has at ref, if it isn't want.
func CheckFrame(s blob.Store, ref blob.Ref, want blob.Frame) error {
	got, err := s.Read(context.Background(), ref, nil)
	if err != nil {
		return err
	}
	if got.ID != want.ID || !bytes.Equal(got.Data, want.Data) {
		return fmt.Errorf("%+v has another frame than was written", ref)
	}
	return nil
}

// Ends returns the function for Recover when refs are all the references there are.
func Ends(refs []blob.Ref) func(int64) (int64, error) {
	return func(segment int64) (int64, error) {
		var end int64
		for _, r := range refs {
			if r.Segment == segment {
				end = max(end, r.End())
			}
		}
		return end, nil
	}
}

func mustOpen(t *testing.T, open Opener) blob.Store {
	t.Helper()
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustAppend(t *testing.T, s blob.Store, frames ...blob.Frame) []blob.Ref {
	t.Helper()
	refs, err := s.Append(context.Background(), frames)
	if err != nil {
		t.Fatal(err)
	}
	if len(refs) != len(frames) {
		t.Fatalf("%d references for %d frames", len(refs), len(frames))
	}
	return refs
}

func mustHave(t *testing.T, s blob.Store, ref blob.Ref, want blob.Frame) {
	t.Helper()
	if err := CheckFrame(s, ref, want); err != nil {
		t.Fatal(err)
	}
}

func mustBe(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

func roundTrip(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	for seed := range uint64(20) {
		f := MakeFrame(seed, 600)
		mustHave(t, s, mustAppend(t, s, f)[0], f)
	}
}

func keepsNoHold(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	f, mine := MakeFrame(1, 100), MakeFrame(1, 100)
	ref := mustAppend(t, s, mine)[0]
	clear(mine.Data)
	mustHave(t, s, ref, f)
	got, err := s.Read(context.Background(), ref, nil)
	mustBe(t, "read", err, nil)
	clear(got.Data)
	mustHave(t, s, ref, f)
}

func sizes(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	for _, n := range []int{1, 2, SegmentSize - 1, SegmentSize, 3 * SegmentSize, 5 << 20} {
		f := blob.Frame{ID: blob.ID{byte(n)}, Data: bytes.Repeat([]byte{0xa5}, n)}
		mustHave(t, s, mustAppend(t, s, f)[0], f)
	}
	_, err := s.Append(context.Background(), []blob.Frame{MakeFrame(1, 10), {}})
	mustBe(t, "empty frame", err, blob.ErrSize)
	refs, err := s.Append(context.Background(), nil)
	if len(refs) != 0 || err != nil {
		t.Fatalf("no frames: %v, %v", refs, err)
	}
}

func batch(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	mustAppend(t, s, MakeFrame(99, 3000))
	var frames []blob.Frame
	for seed := range uint64(50) {
		frames = append(frames, MakeFrame(seed, 300))
	}
	refs := mustAppend(t, s, frames...)
	for i, ref := range refs {
		mustHave(t, s, ref, frames[i])
		if i > 0 && (ref.Segment != refs[0].Segment || ref.Offset < refs[i-1].End()) {
			t.Fatalf("frame %d at %+v follows %+v", i, ref, refs[i-1])
		}
	}
}

func roll(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	var total, last int64
	for seed := range uint64(60) {
		f := MakeFrame(seed, 800)
		ref := mustAppend(t, s, f)[0]
		if ref.Segment < last {
			t.Fatalf("segment %d after %d", ref.Segment, last)
		}
		last = ref.Segment
		total += ref.Length
	}
	segments, err := s.Segments(context.Background())
	mustBe(t, "segments", err, nil)
	for i, g := range segments {
		if g.Size > SegmentSize || i > 0 && g.Number <= segments[i-1].Number {
			t.Fatalf("segment %+v is too large or out of order", g)
		}
		total -= g.Size
	}
	if len(segments) < 4 || total > 0 {
		t.Fatalf("%d segments lack %d bytes", len(segments), total)
	}
}

func absent(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	ref := mustAppend(t, s, MakeFrame(1, 100))[0]
	ref.Segment += 7
	_, err := s.Read(context.Background(), ref, nil)
	mustBe(t, "no such segment", err, fs.ErrNotExist)
	_, err = s.Read(context.Background(), blob.Ref{}, nil)
	mustBe(t, "zero reference", err, fs.ErrNotExist)
}

func wrongReference(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	refs := mustAppend(t, s, MakeFrame(1, 100), MakeFrame(2, 100))
	good := refs[0]
	for _, bad := range []blob.Ref{
		{Segment: good.Segment, Offset: good.Offset, Length: good.Length - 1},
		{Segment: good.Segment, Offset: good.Offset, Length: good.Length + 1},
		{Segment: good.Segment, Offset: good.Offset + 1, Length: good.Length},
		{Segment: good.Segment, Offset: 0, Length: good.Length},
		{Segment: good.Segment, Offset: -20, Length: good.Length},
		{Segment: good.Segment, Offset: good.Offset, Length: 0},
		{Segment: good.Segment, Offset: good.Offset, Length: -1},
		{Segment: good.Segment, Offset: good.Offset, Length: 1 << 62},
		{Segment: good.Segment, Offset: 1<<63 - 1, Length: good.Length},
		{Segment: good.Segment, Offset: refs[1].End(), Length: good.Length},
		{Segment: good.Segment, Offset: refs[1].End() - 1, Length: 1},
	} {
		_, err := s.Read(context.Background(), bad, nil)
		mustBe(t, fmt.Sprintf("%+v", bad), err, blob.ErrDamaged)
	}
}

func cancelled(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	ref := mustAppend(t, s, MakeFrame(1, 100))[0]
	before, err := s.Segments(context.Background())
	mustBe(t, "segments", err, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.Append(ctx, []blob.Frame{MakeFrame(2, 100)})
	mustBe(t, "append", err, context.Canceled)
	_, err = s.Read(ctx, ref, nil)
	mustBe(t, "read", err, context.Canceled)
	mustBe(t, "recover", s.Recover(ctx, Ends(nil)), context.Canceled)
	after, err := s.Segments(context.Background())
	mustBe(t, "segments", err, nil)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Fatalf("segments %v became %v", before, after)
	}
}

func closed(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	ref := mustAppend(t, s, MakeFrame(1, 100))[0]
	mustBe(t, "close", s.Close(), nil)
	mustBe(t, "close again", s.Close(), nil)
	_, err := s.Append(context.Background(), []blob.Frame{MakeFrame(2, 100)})
	mustBe(t, "append", err, fs.ErrClosed)
	_, err = s.Read(context.Background(), ref, nil)
	mustBe(t, "read", err, fs.ErrClosed)
	mustBe(t, "recover", s.Recover(context.Background(), Ends(nil)), fs.ErrClosed)
}

func reopen(t *testing.T, open Opener) {
	var frames []blob.Frame
	var refs []blob.Ref
	for round := range uint64(6) {
		s := mustOpen(t, open)
		if round%2 == 1 { // once with Recover and once without: both must go on safely
			mustBe(t, "recover", s.Recover(context.Background(), Ends(refs)), nil)
		}
		f := MakeFrame(round, 300)
		frames, refs = append(frames, f), append(refs, mustAppend(t, s, f)...)
		for i := range refs {
			mustHave(t, s, refs[i], frames[i])
		}
		mustBe(t, "close", s.Close(), nil)
	}
}

func recoverCuts(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	kept := MakeFrame(1, 100)
	refs := mustAppend(t, s, kept)
	lost := mustAppend(t, s, MakeFrame(2, 500), MakeFrame(3, 500))
	mustBe(t, "close", s.Close(), nil)

	s = mustOpen(t, open)
	mustBe(t, "recover", s.Recover(context.Background(), Ends(refs)), nil)
	for _, ref := range lost {
		if _, err := s.Read(context.Background(), ref, nil); err == nil {
			t.Fatalf("%+v is still there", ref)
		}
	}
	next := MakeFrame(4, 900)
	refs = append(refs, mustAppend(t, s, next)...)
	if refs[1].Segment != refs[0].Segment || refs[1].Offset != refs[0].End() {
		t.Fatalf("appending went on at %+v, not after %+v", refs[1], refs[0])
	}
	mustHave(t, s, refs[0], kept)
	mustHave(t, s, refs[1], next)
	mustBe(t, "close", s.Close(), nil)

	s = mustOpen(t, open)
	mustBe(t, "recover with no references", s.Recover(context.Background(), Ends(nil)), nil)
	segments, err := s.Segments(context.Background())
	if len(segments) != 0 || err != nil {
		t.Fatalf("segments without references are left: %v, %v", segments, err)
	}
}

func recoverFindsDamage(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	f := MakeFrame(1, 100)
	ref := mustAppend(t, s, f)[0]
	mustBe(t, "close", s.Close(), nil)
	beyond := ref
	beyond.Offset += 1000
	for _, refs := range [][]blob.Ref{{beyond}, {{Segment: ref.Segment, Offset: -19, Length: 1}}} {
		s = mustOpen(t, open)
		mustBe(t, "recover", s.Recover(context.Background(), Ends(refs)), blob.ErrDamaged)
		mustHave(t, s, ref, f)
		other := MakeFrame(2, 100)
		mustHave(t, s, mustAppend(t, s, other)[0], other)
		mustHave(t, s, ref, f)
		mustBe(t, "close", s.Close(), nil)
	}
}

func recoverStops(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	f := MakeFrame(1, 100)
	ref := mustAppend(t, s, f)[0]
	mustBe(t, "close", s.Close(), nil)
	s = mustOpen(t, open)
	err := s.Recover(context.Background(), func(int64) (int64, error) { return 0, fs.ErrNotExist })
	mustBe(t, "error of end", err, fs.ErrNotExist)
	mustHave(t, s, ref, f)
}

func recoverLeavesWriters(t *testing.T, open Opener) {
	a, b := mustOpen(t, open), mustOpen(t, open)
	var frames []blob.Frame
	var refs []blob.Ref
	for seed := range uint64(20) { // several segments: full ones too may be under way
		f := MakeFrame(seed, 900)
		frames, refs = append(frames, f), append(refs, mustAppend(t, a, f)...)
	}
	mustBe(t, "recover of another", b.Recover(context.Background(), Ends(nil)), nil)
	mustBe(t, "recover of its own", a.Recover(context.Background(), Ends(nil)), nil)
	for i := range refs {
		mustHave(t, a, refs[i], frames[i])
	}
	mine, theirs := mustAppend(t, a, frames[0])[0], mustAppend(t, b, frames[1])[0]
	if mine.Segment == theirs.Segment {
		t.Fatal("two stores write one segment")
	}
}

func concurrent(t *testing.T, open Opener) {
	s := mustOpen(t, open)
	hammer(t, 8, 40, func(int) blob.Store { return s })
}

func severalStores(t *testing.T, open Opener) {
	stores := []blob.Store{mustOpen(t, open), mustOpen(t, open), mustOpen(t, open)}
	hammer(t, 6, 40, func(worker int) blob.Store { return stores[worker%len(stores)] })
}

// hammer lets workers append and read back what they and others appended, and
// checks in the end that all is there and nothing overlaps.
func hammer(t *testing.T, workers, rounds int, store func(worker int) blob.Store) {
	var mu sync.Mutex // guards refs and frames
	var refs []blob.Ref
	var frames []blob.Frame
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 3))
			for n := range rounds {
				f := MakeFrame(uint64(w*rounds+n), 700)
				got, err := store(w).Append(context.Background(), []blob.Frame{f})
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				refs, frames = append(refs, got...), append(frames, f)
				i := r.IntN(len(refs))
				ref, want := refs[i], frames[i]
				mu.Unlock()
				if err := CheckFrame(store(w), ref, want); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for i := range refs {
		mustHave(t, store(0), refs[i], frames[i])
		at := strings.Join([]string{fmt.Sprint(refs[i].Segment), fmt.Sprint(refs[i].Offset)}, "/")
		if seen[at] {
			t.Fatalf("two frames at %s", at)
		}
		seen[at] = true
	}
	if len(refs) != workers*rounds {
		t.Fatalf("%d frames of %d", len(refs), workers*rounds)
	}
}
