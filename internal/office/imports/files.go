// Package imports puts mail that people bring along on the register: from files
// (package intake) and from another server (package intake/remote). It keeps there how
// far an import has come, so that one that was stopped goes on.
package imports

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"sijill"
	"sijill/internal/intake"
	"sijill/internal/message"
	"sijill/internal/record"
)

// Files appends what is imported from files, once. It implements intake.Appender and
// intake.Ledger, and may be used from many goroutines.
type Files struct {
	r     *record.Register
	class sijill.Class // Of the address that the mail is imported for.
}

// NewFiles imports to a register, for an address of a class.
func NewFiles(r *record.Register, class sijill.Class) Files { return Files{r, class} }

// Append implements intake.Appender.
func (i Files) Append(ctx context.Context, m *intake.Mail) (intake.Receipt, error) {
	rc, err := i.r.Append(ctx, record.Draft{
		Kind: sijill.Captured, Actor: "import", Holders: []int64{m.Account}, Class: i.class, Patient: true,
		// Personal mail is not compared with what is there: the server would
		// have to keep something that tells messages apart.
		Once:    i.class != sijill.Personal,
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
func (i Files) sameOrigin(ctx context.Context, entry int64, e *message.Envelope) (bool, error) {
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
func (i Files) Load(ctx context.Context, key string) ([]byte, error) {
	return i.r.Progress(ctx, "import/"+key)
}

// Save implements intake.Ledger.
func (i Files) Save(ctx context.Context, key string, state []byte) error {
	return i.r.Save(ctx, "import/"+key, state)
}

func sourceKey(digest [32]byte, account int64) string {
	return fmt.Sprintf("source/%d/%s", account, hex.EncodeToString(digest[:]))
}

// Imported implements intake.Ledger.
func (i Files) Imported(ctx context.Context, digest [32]byte, account int64) (entry int64, ok bool, err error) {
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
func (i Files) Conclude(ctx context.Context, c intake.Conclusion) (int64, error) {
	rc, err := i.r.Append(ctx, record.Draft{
		Kind: sijill.Imported, Actor: "import", Holders: []int64{c.Account}, Class: i.class, Detail: json.RawMessage(c.Detail),
		Fields: sijill.ImportedFields{Seen: c.Counts.Seen, Captured: c.Counts.Captured, Already: c.Counts.Already, Refused: c.Counts.Refused},
		Mark:   sourceKey(c.Digest, c.Account),
	})
	return rc.Entry, err
}
