package web

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"sijill"
)

// Errors that those who stand behind the pages return, for the pages to tell.
// Besides them fs.ErrNotExist is for whatever isn't there or isn't the
// viewer's, and people.ErrCredentials and people.ErrSlowDown are for sign-in.
var (
	// ErrCode is returned when the password was right and a code of the
	// person's authenticator is wanted too, or was wrong.
	ErrCode = errors.New("a code is wanted")
	// ErrWrong is returned for a password, code or passkey that proves
	// nothing, from someone who is signed in or recovering.
	ErrWrong = errors.New("the proof is wrong")
	// ErrClosed is returned for mail that exists and can't be opened with the
	// keys of this session.
	ErrClosed = errors.New("the mail is closed")
	// ErrWall is returned when mail would pass from one identity to the other.
	ErrWall = errors.New("the wall between office and personal")
	// ErrForbidden is returned for what the office's rules don't allow.
	ErrForbidden = errors.New("not allowed")
	// ErrUnsuited is returned for a name, address, password or date that can't
	// be as it was given.
	ErrUnsuited = errors.New("not suitable")
	// ErrTaken is returned for a name or address that is in use.
	ErrTaken = errors.New("already in use")
	// ErrFormer is returned for an address that was somebody else's personal one
	// of late.
	ErrFormer = errors.New("it was somebody else's of late")
	// ErrProve is returned for a change of credentials by someone who showed
	// none of late; see Access.Prove.
	ErrProve = errors.New("who is there must be proven again")
	// ErrFresh is returned for what has to wait until a password that somebody
	// else chose was changed.
	ErrFresh = errors.New("the password must be changed first")
	// ErrStale is returned for a letter whose draft is none any more: it was
	// sent, saved again or dropped.
	ErrStale = errors.New("the draft is gone")
	// ErrLate is returned for an undo that comes too late.
	ErrLate = errors.New("too late")
)

// Viewer is a person who is signed in, in one session.
type Viewer struct {
	Account int64
	Name    string
	Address string // The main one.
	Token   string // Of the session; the value of the cookie.
	Admin   bool   // Runs the server: an administrator or an owner.

	// Office and Personal say whose mail this session may see.
	Office, Personal bool
	// Open says that personal mail can be read: the session has its key.
	Open bool
	// Fresh says that somebody else knows what the account is opened with: a
	// password of the person's own comes before everything else.
	Fresh bool
	// Deep is until when older mail is open, too; zero when it isn't.
	Deep time.Time

	Language string // A tag, or "" for the office's own.
	Digits   string // view.ArabicIndic, view.Latin, or "" for those of the language.

	// Session is for those who made the viewer; the pages don't look at it.
	Session any
}

// sees tells whether mail of a class is within the session's scope.
func (v *Viewer) sees(c sijill.Class) bool {
	return c == sijill.Personal && v.Personal || c != sijill.Personal && v.Office
}

// Caller is where a request comes from.
type Caller struct {
	From  netip.Addr
	Agent string // The browser's User-Agent, as it was sent.
}

// Ceremony is the beginning of something done with a passkey.
type Ceremony struct {
	ID      string // To be named when it ends.
	Options []byte // JSON for navigator.credentials, {"publicKey": {…}}, with base64url where there are bytes.
}

// Access lets people in.
type Access interface {
	// SignIn starts a session. It returns people.ErrCredentials for a wrong
	// name or password, ErrCode when a code is wanted (code is empty) or
	// wrong, and people.ErrSlowDown after too many tries. name is a sign-in
	// name or an address.
	SignIn(ctx context.Context, name, password, code string, c Caller) (*Viewer, error)
	// Resume gives the viewer of a session; fs.ErrNotExist when it's over.
	Resume(ctx context.Context, token string) (*Viewer, error)
	// Lasts tells whether a viewer's session goes on, which doesn't count as
	// using it; fs.ErrNotExist when it's over.
	Lasts(ctx context.Context, v *Viewer) error
	// SignOut ends a session. One that's over already is no error.
	SignOut(ctx context.Context, token string) error

	// BeginPasskey and FinishPasskey sign in with a passkey. answer is the
	// credential as JSON. It returns people.ErrCredentials for one that is
	// unknown or wrong.
	BeginPasskey(ctx context.Context) (Ceremony, error)
	FinishPasskey(ctx context.Context, id string, answer []byte, c Caller) (*Viewer, error)

	// Recover sets a new password by the recovery code, which is then spent,
	// and signs in. It gives the new recovery code. Errors are those of
	// SignIn, and ErrUnsuited for a password that is too weak.
	Recover(ctx context.Context, name, code, password string, c Caller) (*Viewer, string, error)

	// Prove shows the password again, which lets the viewer change credentials
	// for a while. It returns ErrWrong and people.ErrSlowDown.
	Prove(ctx context.Context, v *Viewer, password string, c Caller) error
	// StartAnew is for someone whose personal mail is closed and who has neither
	// recovery code nor passkey, and who has agreed to lose what came until now.
	// It gives a new recovery code. Errors are ErrProve and ErrFresh.
	StartAnew(ctx context.Context, v *Viewer, c Caller) (string, error)

	// Older mail is opened for one hour, in this session only, by a passkey
	// or the recovery code (which isn't spent by it). Errors are ErrWrong and
	// people.ErrSlowDown.
	BeginStepUp(ctx context.Context, v *Viewer) (Ceremony, error)
	FinishStepUp(ctx context.Context, v *Viewer, id string, answer []byte) error
	StepUpByCode(ctx context.Context, v *Viewer, code string) error
}
