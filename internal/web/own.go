package web

import (
	"context"
	"time"

	"sijill"
)

// Settings are a person's own. What changes credentials may return ErrProve and
// ErrFresh.
type Settings interface {
	// SetIdentity changes the name and signature of an address of the viewer's.
	SetIdentity(ctx context.Context, v *Viewer, i Identity) error
	// SetPreferences keeps a language ("" for the browser's) and digits.
	SetPreferences(ctx context.Context, v *Viewer, language, digits string) error

	// Credentials says what the viewer can sign in and open mail with.
	Credentials(ctx context.Context, v *Viewer) (Credentials, error)
	// ChangePassword returns ErrWrong for the old one, ErrUnsuited for the new, and
	// ErrTaken for one that somebody else chose.
	// Where the old one was somebody else's choice there's a new recovery code,
	// the one before being void; else it is "".
	ChangePassword(ctx context.Context, v *Viewer, old, fresh string) (string, error)
	// FinishRegister may give another ceremony: most authenticators tell their
	// secret (PRF) only when the new passkey is used, which the browser is then
	// asked to do at once. FinishOpening takes its answer.
	BeginRegister(ctx context.Context, v *Viewer) (Ceremony, error)
	FinishRegister(ctx context.Context, v *Viewer, id, name string, answer []byte) (Passkey, *Ceremony, error)
	FinishOpening(ctx context.Context, v *Viewer, id string, answer []byte) (Passkey, error)
	// RenamePasskey returns ErrUnsuited for a name that can't be.
	RenamePasskey(ctx context.Context, v *Viewer, id, name string) error
	RemovePasskey(ctx context.Context, v *Viewer, id string) error
	// BeginTOTP gives a secret that ConfirmTOTP makes count, by a code of it.
	BeginTOTP(ctx context.Context, v *Viewer) (TOTP, error)
	ConfirmTOTP(ctx context.Context, v *Viewer, code string) error
	RemoveTOTP(ctx context.Context, v *Viewer, code string) error
	// NewRecovery gives a recovery code; the one before is then void. It
	// returns ErrClosed when the session has no key to wrap for it.
	NewRecovery(ctx context.Context, v *Viewer) (string, error)

	AppPasswords(ctx context.Context, v *Viewer) ([]AppPassword, error)
	MakeAppPassword(ctx context.Context, v *Viewer, label string, office, personal bool) (NewAppPassword, error)
	RevokeAppPassword(ctx context.Context, v *Viewer, id string) error

	Sessions(ctx context.Context, v *Viewer) ([]SessionInfo, error)
	EndSession(ctx context.Context, v *Viewer, id string) error

	// The rules of personal mail are ErrClosed while that is closed.
	Vacation(ctx context.Context, v *Viewer, class sijill.Class) (Vacation, error)
	SetVacation(ctx context.Context, v *Viewer, a Vacation) error
	Forwarding(ctx context.Context, v *Viewer, class sijill.Class) (Forwarding, error)
	// SetForwarding returns ErrForbidden for office mail to elsewhere, unless
	// the office allows it, and ErrProve for a new address.
	SetForwarding(ctx context.Context, v *Viewer, f Forwarding) error
}

// Credentials is what a person can sign in and open mail with.
type Credentials struct {
	Passkeys []Passkey
	TOTP     bool
	Recovery time.Time // When the recovery code was made; zero when there's none.
}

// Passkey is one that was registered.
type Passkey struct {
	ID, Name      string
	Opens         bool // It opens all mail, the older too.
	Everyday      bool // It opens personal mail of the last months.
	Created, Used time.Time
}

// TOTP is a secret for an authenticator.
type TOTP struct {
	Secret string // Base32.
	URI    string // otpauth://
}

// AppPassword is one that was made; the password itself is known to nobody.
type AppPassword struct {
	ID, Label        string
	Office, Personal bool
	Created, Used    time.Time
	UsedFrom         string // A network or a name; may be empty.
}

// NewAppPassword is shown once.
type NewAppPassword struct {
	AppPassword
	Password         string
	Name             string // To sign in with.
	IMAP, Submission Server
}

// Server is what a mail program is told.
type Server struct {
	Host string
	Port int
	TLS  string // "SSL/TLS" or "STARTTLS".
}

// SessionInfo is one sign-in that goes on.
type SessionInfo struct {
	ID, Agent, From string
	Started, Used   time.Time
	Current         bool
}

// Vacation is an answer that is sent while its person is away.
type Vacation struct {
	Class         sijill.Class
	On            bool
	Subject, Text string
	From, Until   time.Time // Days; zero for no bound.
}

// Forwarding sends what arrives on to another address. It stays here as well.
type Forwarding struct {
	Class sijill.Class
	To    string // Empty for none.
	May   bool   // Whether the office allows it for this class.
	// Suspended is where it went until the password was reset or recovered by
	// the code; empty for nowhere.
	Suspended string
}
