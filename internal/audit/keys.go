package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill"
)

// otherKeys checks the remaining wrapped keys of a message that one of them has
// opened: every holder must be able to open it.
func (a *auditor) otherKeys(ctx context.Context, e entry, m *sijill.Message) string {
	if len(e.keys) < 2 {
		return ""
	}
	for _, k := range e.keys {
		err := a.opts.Vault.CheckKey(ctx, k, m.ID)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("its key for compartment %d: %v", k.Compartment, err)
		}
	}
	return ""
}

// closedKeys says whether it is in order that the server can't open a message:
// somebody else's wrapped key must be left.
func (a *auditor) closedKeys(e entry) string {
	if len(e.keys) == 0 {
		return "no wrapped key of its message is left: nobody can open it any more"
	}
	return ""
}
