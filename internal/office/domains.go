package office

import (
	"context"
	"errors"
	"fmt"

	"sijill/internal/people"
)

// ErrOwnDomain is given to who would remove the domain that the settings name.
var ErrOwnDomain = errors.New("it is the office's own domain")

// RemoveDomain makes a domain foreign: mail to it is refused from then on. Its signing
// keys stay, for the day on which it is added again. Errors: ErrOwnDomain,
// people.ErrInUse while anybody has an address in it, people.ErrForeign for one that
// isn't the office's.
func (o *Office) RemoveDomain(ctx context.Context, by people.By, name string) error {
	if people.SameDomain(name, o.Config.Domain) {
		return fmt.Errorf("removing a domain: %w", ErrOwnDomain)
	}
	return o.Access.RemoveDomain(ctx, by, name)
}
