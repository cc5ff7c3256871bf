package web

import (
	"context"
	"time"

	"sijill"
)

// Admin is what those who run the server do. None of it opens anyone's mail.
// The pages ask only for viewers with Admin; whoever stands behind checks again.
type Admin interface {
	Accounts(ctx context.Context, v *Viewer) ([]Account, error)
	// MakeAccount returns ErrTaken and ErrUnsuited.
	MakeAccount(ctx context.Context, v *Viewer, a NewAccount) (Made, error)
	Suspend(ctx context.Context, v *Viewer, account int64, suspended bool) error
	// ResetPassword gives a new password. The account's personal mail is then
	// closed until its person opens it with the recovery code or a passkey.
	ResetPassword(ctx context.Context, v *Viewer, account int64) (string, error)
	// EndFactor ends the second factor of an account, and its sessions. It returns
	// fs.ErrNotExist when there is none.
	EndFactor(ctx context.Context, v *Viewer, account int64) error
	// SetRoles returns ErrForbidden when no owner would be left.
	SetRoles(ctx context.Context, v *Viewer, account int64, r Roles) error
	AddAddress(ctx context.Context, v *Viewer, account int64, address string, class sijill.Class) error
	RemoveAddress(ctx context.Context, v *Viewer, account int64, address string) error

	Domains(ctx context.Context, v *Viewer) ([]Domain, error)
	AddDomain(ctx context.Context, v *Viewer, name string) error
	// RemoveDomain returns ErrForbidden while anybody has an address in the domain,
	// and for the office's own; fs.ErrNotExist when it isn't one of the office's.
	RemoveDomain(ctx context.Context, v *Viewer, name string) error
	// SetCatchAll says which address gets what comes to no address of a domain;
	// "" for none, so that it is refused. It returns ErrUnsuited when nobody
	// has the address, fs.ErrNotExist when the domain isn't the office's.
	SetCatchAll(ctx context.Context, v *Viewer, domain, address string) error

	Queue(ctx context.Context, v *Viewer) ([]Outgoing, error)
	Hold(ctx context.Context, v *Viewer, id string, held bool) error
	Retry(ctx context.Context, v *Viewer, id string) error
	// Drop gives a delivery up; the reason is on record.
	Drop(ctx context.Context, v *Viewer, id, reason string) error

	Health(ctx context.Context, v *Viewer) ([]Vital, error)
	// Reports gives those that came to the viewer's own mail.
	Reports(ctx context.Context, v *Viewer) (Reports, error)
}

// Roles of an account.
type Roles struct{ Owner, Administrator, Records bool }

// Account is one of the office's.
type Account struct {
	ID        int64
	Name      string
	SignIn    string
	Addresses []Identity // Address and Class only.
	Roles     Roles
	Suspended bool
	TOTP      bool // It has a second factor.
	Created   time.Time
	Used      time.Time // Last sign-in; zero for never.
}

// NewAccount is one to be made.
type NewAccount struct {
	Name, SignIn string
	Addresses    []Identity // At least one.
	Roles        Roles
}

// Made is shown once.
type Made struct {
	Account            int64
	Password, Recovery string
}

// Domain is one of the office's, with what the DNS should say of it.
type Domain struct {
	Name     string
	Own      bool      // The one that the settings name, which stays.
	CatchAll string    // Gets what comes to no address of the domain; "" for none.
	Checked  time.Time // Zero when it wasn't yet.
	Records  []DNSRecord
}

// States of a DNS record.
const (
	DNSGood    = "good"
	DNSMissing = "missing"
	DNSWrong   = "wrong"
	DNSUnknown = "unknown" // The DNS couldn't be asked.
)

// DNSRecord is a record to set.
type DNSRecord struct {
	Purpose     string // MX, SPF, DKIM, DMARC, MTA-STS, TLS-RPT, SRV, autoconfig and so on.
	Name, Type  string
	Value       string
	State       string // One of the DNS constants.
	Found       string // What is there instead.
	Recommended bool   // It can be done without.
}

// States of a delivery.
const (
	OutWaiting  = "waiting"
	OutDeferred = "deferred"
	OutHeld     = "held"
	OutGoing    = "going"
)

// Outgoing is a delivery to one recipient.
type Outgoing struct {
	ID         string
	Entry      int64
	Class      sijill.Class
	To         string // For personal mail the domain alone.
	Size       int64
	State      string // One of the Out constants.
	Tries      int
	Since      time.Time
	Next       time.Time // Of the next try.
	LastAnswer string    // The remote's, or what else went wrong.
}

// Vital is one thing that the server's health hangs on.
type Vital struct {
	Name    string // Of the catalog, "vital." before it: register, disk, queue, tls, or any other as it is.
	Good    bool
	Figures []int64 // For the phrase "vital.NAME.said", if the catalog has it.
	Said    string  // Instead of figures, for people who know it.
	Since   time.Time
}

// Reports are what other servers told, and where they tell it.
type Reports struct {
	Days int // How far back they go.
	List []Report
	To   []ReportsTo
}

// Whose the address is that reports go to.
const (
	ReportsMine   = "mine"   // They are listed.
	ReportsOther  = "other"  // Only its holder can see them.
	ReportsNobody = "nobody" // They are refused.
)

// ReportsTo is where reports on a domain go, as its DNS records say.
type ReportsTo struct {
	Domain, Address string
	Whose           string // One of the Reports constants.
	Holder          string // Whose it is, if somebody's.
}

// Report is what another server told of mail that claims to be ours, or of TLS
// to us (RFC 7489 and RFC 8460), added up.
type Report struct {
	Kind        string // dmarc or tls.
	From        string // The organisation.
	Domain      string
	Begin, End  time.Time
	Good, Wrong int64
}
