package outbox

import (
	"errors"
	"strings"
	"testing"
)

// Whoever wrote to many has to know which address it is that can't be written to;
// the log mustn't.
func TestRefusedAddressIsNamed(t *testing.T) {
	f := newOffice(t, nil)
	_, err := f.o.Prepare(letterTo("a@b.example", "هند@c..example"))
	var bad *AddressError
	if !errors.As(err, &bad) || bad.Address != "هند@c..example" || !errors.Is(err, ErrLetter) || strings.Contains(err.Error(), "@") {
		t.Errorf("%v", err)
	}
}
