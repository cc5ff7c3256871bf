package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
)

// retiredFields stand in the entry with which a successor begins.
type retiredFields struct {
	Event      string `json:"event"`
	Origin     string `json:"origin"`     // Of the register that was retired.
	Size       int64  `json:"size"`       // How many of its entries live on here.
	Claimed    int64  `json:"claimed"`    // How many it had signed for, as far as is known here.
	Checkpoint string `json:"checkpoint"` // The last checkpoint known, base64 as it can't stand in an entry.
}

// Retire ends the register's origin and goes on under a new one with new keys,
// whose first own entry says how many entries of the old one are here and how
// many it had signed for. It is the way out when the tail that an anchor names
// is lost for good: nothing is hidden by it, and old proofs hold under the old
// key. The register must be opened anew afterwards. It returns the new origin.
func (r *Register) Retire(ctx context.Context) (origin string, err error) {
	last, err := r.lastKnown(ctx)
	if err != nil {
		return "", err
	}
	next, err := newSigner(ctx, r.opts.Vault, successor(r.signer.origin))
	if err != nil {
		return "", err
	}
	release, err := r.turn.take()
	if err != nil {
		return "", err
	}
	defer release()
	err = r.opts.DB.Write(ctx, func(tx *db.Tx) error { return r.retire(tx, next, last) })
	if err != nil {
		return "", fmt.Errorf("retiring the register: %w", err)
	}
	r.mu.Lock()
	r.behind = fmt.Errorf("it was retired: %w", ErrClosed)
	r.mu.Unlock()
	r.anchors.stop() // A checkpoint of the old register must not come after they were set aside.
	return next.origin, r.anchorsAside()
}

// successor gives the origin that follows: "name", "name.2", "name.3"…
func successor(origin string) string {
	i := strings.LastIndexByte(origin, '.')
	if n, err := strconv.Atoi(origin[i+1:]); i > 0 && err == nil && n > 1 {
		return origin[:i+1] + strconv.Itoa(n+1)
	}
	return origin + ".2"
}

// lastKnown is the largest checkpoint of the register among its head and its
// anchors.
func (r *Register) lastKnown(ctx context.Context) (c sijill.Checkpoint, err error) {
	_, note := r.Head()
	if c, err = r.signer.open(note); err != nil {
		return c, fmt.Errorf("reading the head: %w", err)
	}
	for _, path := range r.opts.Anchors {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // A missing anchor knows nothing.
		}
		if a, err := r.signer.open(b); err == nil && a.Size > c.Size {
			c = a
		}
	}
	return c, nil
}

func (r *Register) retire(tx *db.Tx, next *signer, last sijill.Checkpoint) error {
	h, err := readHead(tx)
	if err != nil {
		return err
	}
	j := &job{draft: Draft{Kind: sijill.Config, Actor: "server"}}
	j.fields, err = sijill.MarshalFields(retiredFields{Event: "retired", Origin: h.origin, Size: h.size,
		Claimed: last.Size, Checkpoint: strings.ReplaceAll(strings.TrimSpace(last.Text()), "\n", " ")})
	if err != nil {
		return err
	}
	b := &batchWrite{r: r, signer: r.signer, groups: []*group{{jobs: []*job{j}}}}
	if err := b.start(tx); err != nil {
		return err
	}
	if err := b.admit(tx); err != nil {
		return err
	}
	if err := b.grow(tx.Now); err != nil {
		return err
	}
	return b.succeed(tx, next)
}

// succeed commits a batch under another signer than the register's.
func (b *batchWrite) succeed(tx *db.Tx, next *signer) error {
	b.signer = next
	if err := b.sync(context.Background(), tx.Now); err != nil {
		return err
	}
	if err := next.save(tx, b.r.opts.Vault); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE head SET origin = ? WHERE id = 1", next.origin); err != nil {
		return err
	}
	return b.insert(tx)
}

// anchorsAside renames the anchors of the retired register, so that they stay
// as evidence and the successor can write its own.
func (r *Register) anchorsAside() error {
	var errs []error
	for _, path := range r.opts.Anchors {
		err := os.Rename(path, path+".retired-"+time.Now().UTC().Format("20060102T150405Z"))
		if !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
