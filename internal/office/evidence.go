package office

import (
	"context"
	"encoding/hex"
	"errors"

	"sijill/internal/mailauth"
	"sijill/internal/message"
)

// Evidence is what DNS said when a message arrived: kept beside it for personal mail,
// else in the register's database. e must have it (Evidence isn't empty).
func (o *Office) Evidence(ctx context.Context, e *message.Envelope) (mailauth.Evidence, error) {
	if e.EvidenceBody != nil {
		return mailauth.ParseEvidence(e.EvidenceBody)
	}
	b, err := hex.DecodeString(e.Evidence)
	if err != nil || len(b) != 32 {
		return mailauth.Evidence{}, errors.New("the digest of the evidence can't be read")
	}
	return o.evidence.Load(ctx, [32]byte(b))
}
