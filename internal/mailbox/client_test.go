package mailbox

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sijill"
)

// client keeps a copy of a folder through Changes alone.
type client struct {
	since  int64
	places map[int64]Place
}

func (c *client) sync(w *world, f Folder) error {
	ch, err := w.Changes(context.Background(), 1, f.ID, c.since)
	if err != nil {
		return err
	}
	if ch.Whole {
		clear(c.places)
		// Read at or after ch.ModSeq: what came between comes again.
		list, err := w.Places(context.Background(), 1, f.ID, 0, math.MaxInt64)
		if err != nil {
			return err
		}
		ch.Changed = list
	}
	for _, uid := range ch.Gone {
		delete(c.places, uid)
	}
	for _, p := range ch.Changed {
		c.places[p.UID] = p
	}
	c.since = ch.ModSeq
	return nil
}

// Two clients change one folder two thousand times while mail arrives, and each
// learns of it all through Changes.
func TestTwoClients(t *testing.T) {
	w := newWorld(t)
	b := w.keep()
	var first []mail
	for range 60 {
		first = append(first, mail{})
	}
	w.capture(first...)
	roles := w.roles(sijill.Office)
	inbox, other := roles[RoleInbox], roles[RoleArchive]
	stop, arrived := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(arrived)
		for {
			select {
			case <-stop:
				return
			case <-time.After(3 * time.Millisecond):
				w.capture(mail{})
			}
		}
	}()
	clients := []*client{{places: map[int64]Place{}}, {places: map[int64]Place{}}}
	var wg sync.WaitGroup
	for n, c := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 9))
			for range 1000 {
				if err := w.step(r, c, inbox, other); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	<-arrived
	want := w.places(inbox)
	for _, c := range clients {
		if err := c.sync(w, inbox); err != nil {
			t.Fatal(err)
		}
		got := slices.SortedFunc(maps.Values(c.places), func(a, b Place) int { return int(a.UID - b.UID) })
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("a client has\n%v\nand the folder\n%v", got, want)
		}
	}
	if err := w.Settle(t.Context()); err != nil || len(b.drafts) < 100 {
		t.Errorf("%d entries, %v", len(b.drafts), err)
	}
	w.sound()
}

// step is one thing that a client does.
func (w *world) step(r *rand.Rand, c *client, inbox, other Folder) (err error) {
	ctx := context.Background()
	var uids []int64
	for uid := range c.places {
		if uids = append(uids, uid); len(uids) > r.IntN(3) {
			break
		}
	}
	switch r.IntN(8) {
	case 0, 1, 2:
		return c.sync(w, inbox)
	case 3, 4:
		_, err = w.Flag(ctx, 1, inbox.ID, uids, Op(r.IntN(3)), Flags(r.IntN(32)), []string{"k" + fmt.Sprint(r.IntN(3))})
	case 5:
		_, err = w.Copy(ctx, 1, inbox.ID, uids, inbox.ID)
	case 6:
		_, err = w.Move(ctx, 1, inbox.ID, uids[:min(len(uids), 1)], other.ID)
	default:
		if len(c.places) > 30 {
			err = w.Expunge(ctx, 1, inbox.ID, uids)
		}
	}
	return err
}
