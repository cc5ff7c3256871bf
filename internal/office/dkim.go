package office

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailauth"
	"sijill/internal/people"
)

// storedKey is a signing key as the vault keeps it.
type storedKey struct {
	Selector string         `json:"selector"`
	State    mailauth.State `json:"state"`
	Since    time.Time      `json:"since"`
	PKCS8    []byte         `json:"pkcs8"`
}

func dkimSecret(domain string) string { return "dkim/" + domain }

// dkimKeys reads a domain's signing keys; none is an error that wraps
// fs.ErrNotExist.
func (o *Office) dkimKeys(tx *db.Tx, domain string) (*mailauth.Keys, error) {
	b, err := o.Vault.Secret(tx, dkimSecret(domain))
	if err != nil {
		return nil, err
	}
	var stored []storedKey
	if err := json.Unmarshal(b, &stored); err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	keys := &mailauth.Keys{Domain: domain}
	for _, s := range stored {
		k, err := mailauth.ParseKey(s.Selector, s.PKCS8)
		if err != nil {
			return nil, err
		}
		k.State, k.Since = s.State, s.Since
		keys.All = append(keys.All, k)
	}
	return keys, nil
}

func (o *Office) putDKIM(tx *db.Tx, keys *mailauth.Keys) error {
	var stored []storedKey
	for _, k := range keys.All {
		b, err := k.PKCS8()
		if err != nil {
			return err
		}
		stored = append(stored, storedKey{k.Selector, k.State, k.Since, b})
	}
	b, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("writing the signing keys: %w", err)
	}
	return o.Vault.PutSecret(tx, dkimSecret(keys.Domain), b)
}

// ChangeDKIM changes a domain's signing keys in one transaction, and gives them as
// they are then; change tells whether it did. did is what the register is told then;
// "" tells nothing. A running server signs with them within a minute.
func (o *Office) ChangeDKIM(ctx context.Context, domain, did string, change func(*mailauth.Keys) (bool, error)) (keys *mailauth.Keys, err error) {
	err = o.DB.Write(ctx, func(tx *db.Tx) error {
		keys, err = o.dkimKeys(tx, domain)
		if errors.Is(err, fs.ErrNotExist) {
			keys, err = &mailauth.Keys{Domain: domain}, nil
		}
		if err != nil {
			return err
		}
		changed, err := change(keys)
		if err != nil || !changed {
			return err
		}
		if did != "" {
			if err := o.People.OweKeys(tx, people.By{}, domain, did); err != nil {
				return err
			}
		}
		return o.putDKIM(tx, keys)
	})
	if err == nil && did != "" {
		o.Access.Tell(ctx)
	}
	return keys, err
}

// EnsureDKIM gives a domain's signing keys; the first ones are made, and nothing is
// written otherwise. That they are there follows from the domain's being the office's,
// which is on record.
func (o *Office) EnsureDKIM(ctx context.Context, domain string) (keys *mailauth.Keys, err error) {
	err = o.DB.Read(ctx, func(tx *db.Tx) error {
		keys, err = o.dkimKeys(tx, domain)
		return err
	})
	if err == nil && len(keys.All) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	return o.ChangeDKIM(ctx, domain, "", func(keys *mailauth.Keys) (bool, error) {
		if len(keys.All) > 0 {
			return false, nil
		}
		_, err := keys.Generate(time.Now().UTC())
		return true, err
	})
}

// retireAfter is how long a key is published after its last signature.
const retireAfter = 30 * 24 * time.Hour

// signers sign for the office's domains. Keys are read again now and then:
// another process may have changed them.
type signers struct {
	o *Office

	mu      sync.Mutex // Guards what follows. Nobody waits for the database with it.
	known   map[string]*mailauth.Signer
	read    time.Time // When reading known began.
	reading bool      // Somebody reads them again; others use known meanwhile.
}

// rereadKeys is how old the signers may be.
const rereadKeys = time.Minute

func (s *signers) of(ctx context.Context, domain string) (*mailauth.Signer, error) {
	began := time.Now()
	s.mu.Lock()
	known := s.known
	if known != nil && (s.reading || began.Sub(s.read) < rereadKeys) {
		s.mu.Unlock()
		return known[domain], nil
	}
	s.reading = true
	s.mu.Unlock()
	known, err := s.load(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	if err != nil {
		return nil, err
	}
	s.known, s.read = known, began
	return known[domain], nil
}

// load reads the signers of all domains.
func (s *signers) load(ctx context.Context) (map[string]*mailauth.Signer, error) {
	domains, err := s.o.People.Domains(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]*mailauth.Signer{}
	for _, d := range domains {
		keys, err := s.o.EnsureDKIM(ctx, d)
		if err != nil {
			return nil, err
		}
		known[d] = keys.Signer()
	}
	return known, nil
}

// sign gives the DKIM-Signature fields of a message from a domain, none for a
// domain that isn't the office's.
func (s *signers) sign(ctx context.Context, domain string, msg []byte) ([]byte, error) {
	signer, err := s.of(ctx, strings.ToLower(domain))
	if err != nil || signer == nil {
		return nil, err
	}
	return signer.Sign(msg, time.Now().UTC())
}

// watch lets keys that were made by "sijill dkim rotate" sign once DNS shows
// their records, and drops those that have retired long enough.
func (s *signers) watch(ctx context.Context, ask func(ctx context.Context, name, kind string) ([]string, error)) error {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		if err := s.turn(ctx, ask); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("the signing keys could not be looked after", "error", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *signers) turn(ctx context.Context, ask func(ctx context.Context, name, kind string) ([]string, error)) error {
	domains, err := s.o.People.Domains(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range domains {
		if err := s.turnOne(ctx, d, ask); err != nil {
			errs = append(errs, fmt.Errorf("the keys of %s: %w", d, err))
		}
	}
	return errors.Join(errs...)
}

// turnOne looks after the keys of one domain, whatever is wrong with the others.
// Those that have retired long enough go, whatever DNS says.
func (s *signers) turnOne(ctx context.Context, domain string, ask func(ctx context.Context, name, kind string) ([]string, error)) error {
	keys, err := s.o.EnsureDKIM(ctx, domain)
	if err != nil {
		return err
	}
	ready, unasked := published(ctx, keys, ask)
	_, err = s.o.ChangeDKIM(ctx, domain, "changed", func(keys *mailauth.Keys) (bool, error) {
		now := time.Now().UTC()
		gone := keys.Expire(now.Add(-retireAfter))
		return ready && keys.Activate(now) || len(gone) > 0, nil
	})
	return errors.Join(unasked, err)
}

// published tells whether every coming key stands in DNS; with an error, it doesn't.
func published(ctx context.Context, keys *mailauth.Keys, ask func(ctx context.Context, name, kind string) ([]string, error)) (bool, error) {
	coming := 0
	for _, k := range keys.All {
		if k.State != mailauth.Coming {
			continue
		}
		coming++
		r, err := k.Record(keys.Domain)
		if err != nil {
			return false, err
		}
		found, err := ask(ctx, r.Name, "TXT")
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		match := false
		for _, f := range found {
			match = match || strings.ReplaceAll(f, " ", "") == strings.ReplaceAll(r.Text, " ", "")
		}
		if !match {
			return false, nil
		}
	}
	return coming > 0, nil
}
