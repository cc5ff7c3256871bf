package programs

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sijill/internal/outbox"
	"sijill/internal/smtpd"
)

func TestRefusalNamesTheAddress(t *testing.T) {
	for _, address := range []string{"a@b..example", strings.Repeat("ه", 400) + "@b.example", "a\r\n250 ok@b.example"} {
		err := refusal(fmt.Errorf("sending: %w", &outbox.AddressError{Address: address}))
		var r *smtpd.Refusal
		if !errors.As(err, &r) || r.Code != 550 || len(r.Text) > 400 || strings.ContainsAny(r.Text, "\r\n") || !strings.Contains(r.Text, string([]rune(address)[0])) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
