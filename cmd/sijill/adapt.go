package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sijill"
	"sijill/internal/intake"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/smtpd"
	"sijill/internal/web"
)

// The doors declare what they need; here the register and the accounts become
// it.

// door appends what came by SMTP or LMTP.
type door struct{ r *record.Register }

func (d door) Append(ctx context.Context, m *smtpd.Mail) (smtpd.Receipt, error) {
	m.Envelope.Time = m.Envelope.Time.UTC().Truncate(time.Millisecond)
	rc, err := d.r.Append(ctx, record.Draft{
		Kind: sijill.Captured, Actor: m.Envelope.Door, Holders: m.Accounts,
		Content: &record.Content{Envelope: m.Envelope, Message: m.Message},
	})
	return smtpd.Receipt{Entry: rc.Entry}, err
}

// importer appends what is imported, once.
type importer struct {
	r *record.Register
}

func (i importer) Append(ctx context.Context, m *intake.Mail) (intake.Receipt, error) {
	rc, err := i.r.Append(ctx, record.Draft{
		Kind: sijill.Captured, Actor: "import", Holders: []int64{m.Account}, Once: true, Patient: true,
		Content: &record.Content{Envelope: m.Envelope, Message: m.Message},
	})
	if err != nil || !rc.Already {
		return intake.Receipt{Entry: rc.Entry}, err
	}
	same, err := i.sameOrigin(ctx, rc.Entry, &m.Envelope)
	return intake.Receipt{Entry: rc.Entry, Already: true, SameOrigin: same}, err
}

// sameOrigin tells whether an entry was captured from the same place of the
// same source. What the server can't open any more was not captured just now.
func (i importer) sameOrigin(ctx context.Context, entry int64, e *message.Envelope) (bool, error) {
	it, err := i.r.Item(ctx, entry)
	if err != nil {
		return false, err
	}
	c, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return c.Envelope.SourceID == e.SourceID && c.Envelope.Offset == e.Offset, nil
}

// Load implements intake.Ledger.
func (i importer) Load(ctx context.Context, key string) ([]byte, error) {
	return i.r.Progress(ctx, "import/"+key)
}

// Save implements intake.Ledger.
func (i importer) Save(ctx context.Context, key string, state []byte) error {
	return i.r.Save(ctx, "import/"+key, state)
}

func sourceKey(digest [32]byte, account int64) string {
	return fmt.Sprintf("source/%d/%s", account, hex.EncodeToString(digest[:]))
}

// Imported implements intake.Ledger.
func (i importer) Imported(ctx context.Context, digest [32]byte, account int64) (entry int64, ok bool, err error) {
	b, err := i.r.Progress(ctx, sourceKey(digest, account))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &entry)
	}
	return entry, err == nil, err
}

// Conclude implements intake.Ledger.
func (i importer) Conclude(ctx context.Context, c intake.Conclusion) (int64, error) {
	rc, err := i.r.Append(ctx, record.Draft{
		Kind: sijill.Imported, Actor: "import", Holders: []int64{c.Account}, Detail: json.RawMessage(c.Detail),
		Fields: sijill.ImportedFields{Seen: c.Counts.Seen, Captured: c.Counts.Captured, Already: c.Counts.Already, Refused: c.Counts.Refused},
		Mark:   sourceKey(c.Digest, c.Account),
	})
	return rc.Entry, err
}

// records shows the register to the web, to each account what it holds.
type records struct{ o *office }

// held reads an entry, for an account that holds it.
func (s records) held(ctx context.Context, account, entry int64) (*record.Item, error) {
	it, err := s.o.register.Item(ctx, entry)
	if err != nil {
		return nil, err
	}
	for _, h := range it.Holders {
		if h == account {
			return it, nil
		}
	}
	return nil, fmt.Errorf("entry %d: %w", entry, fs.ErrNotExist)
}

func (s records) Original(ctx context.Context, account, entry int64) ([]byte, message.Envelope, error) {
	it, err := s.held(ctx, account, entry)
	if err != nil {
		return nil, message.Envelope{}, err
	}
	c, err := it.Content()
	if err != nil {
		return nil, message.Envelope{}, err
	}
	return c.Message, c.Envelope, nil
}

func (s records) Seal(ctx context.Context, account, entry int64) (web.SealInfo, error) {
	it, err := s.held(ctx, account, entry)
	if err != nil {
		return web.SealInfo{}, err
	}
	if err := s.o.register.Refresh(ctx); err != nil {
		return web.SealInfo{}, err
	}
	size, note := s.o.register.Head()
	info := web.SealInfo{Entry: entry, Time: it.Entry.Time, Size: size, Checkpoint: string(note)}
	if m := it.Entry.Message; m != nil {
		info.Commitment = base64.StdEncoding.EncodeToString(m.Commitment[:])
	}
	return info, nil
}

func (s records) Proof(ctx context.Context, account, entry int64) ([]byte, error) {
	if _, err := s.held(ctx, account, entry); err != nil {
		return nil, err
	}
	p, err := s.o.register.Proof(ctx, entry, false)
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

func (s records) Checkpoint(ctx context.Context) ([]byte, error) {
	err := s.o.register.Refresh(ctx)
	_, note := s.o.register.Head()
	return note, err
}

func (s records) Tile(ctx context.Context, path string) ([]byte, error) {
	t, err := sijill.ParseTilePath(path)
	if err != nil || t.L == sijill.EntryTile { // Entries are for auditors, not for the public.
		return nil, fs.ErrNotExist
	}
	return s.o.register.Tile(ctx, t)
}

func (s records) Key() string { return s.o.register.Key() }
