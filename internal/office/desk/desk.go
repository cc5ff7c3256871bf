// Package desk is what stands behind the pages: it fits an office to the interfaces
// that the web's door declares, and says its errors in the words of the pages.
package desk

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/search"
	"sijill/internal/vault"
	"sijill/internal/web"
)

// Desk is an office behind the pages. Everything that a request takes (the
// session, the shelf of personal mail) is given back when the request ends.
type Desk struct{ o *office.Office }

// New makes the desk of an office. Its pages must be served through Attended.
func New(o *office.Office) *Desk { return &Desk{o} }

// attendance is what one request has taken, and where it came from.
type attendance struct {
	from  netip.Addr
	agent string

	mu   sync.Mutex // Guards ends.
	ends []func()
}

type attendanceKey struct{}

// Attended serves the pages of a desk: it gives back, after each request, what it took.
func Attended(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &attendance{agent: r.UserAgent()}
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			a.from = peer.Addr()
		}
		defer a.end()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), attendanceKey{}, a)))
	})
}

func (a *attendance) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, end := range slices.Backward(a.ends) {
		end()
	}
	a.ends = nil
}

// atEnd has end called when the request of ctx ends.
func atEnd(ctx context.Context, end func()) {
	a := ctx.Value(attendanceKey{}).(*attendance)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends = append(a.ends, end)
}

// viewer is what the pages see of a session.
func (d *Desk) viewer(ctx context.Context, s *access.Session, err error) (*web.Viewer, error) {
	if err != nil {
		return nil, pageError(err)
	}
	atEnd(ctx, s.Close)
	v, err := d.o.Visit(ctx, s)
	if err != nil {
		return nil, err
	}
	atEnd(ctx, v.Close)
	classes, err := v.Classes(ctx)
	if err != nil {
		return nil, err
	}
	a := s.Account
	return &web.Viewer{
		Account: a.ID, Name: a.Name, Address: a.Address, Token: s.Token,
		Admin:  a.Role.Has(people.RoleAdministrator),
		Office: slices.Contains(classes, sijill.Office), Personal: slices.Contains(classes, sijill.Personal),
		Open: s.Open(), Deep: s.Deep(), Fresh: s.Fresh(), Language: a.Language, Digits: a.Digits, Session: v,
	}, nil
}

// visitOf is the visit behind a viewer.
func visitOf(v *web.Viewer) *office.Visit { return v.Session.(*office.Visit) }

// pageErrors are errors that the pages know by other names.
var pageErrors = []struct{ from, to error }{
	{access.ErrCode, web.ErrCode}, {access.ErrClosed, web.ErrClosed}, {access.ErrStepUp, web.ErrClosed}, {vault.ErrClosed, web.ErrClosed},
	{access.ErrNotDeep, web.ErrWrong}, {people.ErrMistyped, web.ErrWrong}, {access.ErrScope, web.ErrForbidden}, {access.ErrFresh, web.ErrFresh}, {access.ErrProve, web.ErrProve},
	{mailbox.ErrWall, web.ErrWall}, {mailbox.ErrName, web.ErrUnsuited}, {mailbox.ErrRole, web.ErrUnsuited}, {mailbox.ErrNotEmpty, web.ErrUnsuited},
	{people.ErrPassword, web.ErrUnsuited}, {people.ErrSame, web.ErrTaken}, {people.ErrInvalid, web.ErrUnsuited}, {people.ErrForeign, web.ErrUnsuited}, {people.ErrTooMany, web.ErrForbidden},
	{office.ErrNotOfficer, web.ErrForbidden}, {office.ErrUnsuited, web.ErrUnsuited}, {vault.ErrLastOfficer, web.ErrForbidden},
	{people.ErrLastAddress, web.ErrForbidden}, {people.ErrLastOwner, web.ErrForbidden}, {fs.ErrExist, web.ErrTaken}, {people.ErrFormer, web.ErrFormer},
}

// pageError says an error in the words of the pages.
func pageError(err error) error {
	for _, e := range pageErrors {
		if errors.Is(err, e.from) {
			if e.to == web.ErrClosed { // To the vault what it can't open isn't there; to its person it is.
				return fmt.Errorf("%w: %v", e.to, err)
			}
			return fmt.Errorf("%w: %w", e.to, err)
		}
	}
	return err
}

// provenError is pageError for what somebody who is signed in has shown.
func provenError(err error) error {
	if errors.Is(err, people.ErrCredentials) || errors.Is(err, access.ErrCode) {
		return fmt.Errorf("%w: %w", web.ErrWrong, err)
	}
	return pageError(err)
}

// SignIn implements web.Access, as do the methods below.
func (d *Desk) SignIn(ctx context.Context, name, password, code string, c web.Caller) (*web.Viewer, error) {
	s, err := d.o.Access.SignIn(ctx, name, password, code, c.From, c.Agent)
	return d.viewer(ctx, s, err)
}

func (d *Desk) Resume(ctx context.Context, token string) (*web.Viewer, error) {
	s, err := d.o.Access.Resume(ctx, token)
	return d.viewer(ctx, s, err)
}

func (d *Desk) Lasts(ctx context.Context, v *web.Viewer) error {
	list, err := d.o.People.Sessions(ctx, v.Account)
	if err != nil {
		return err
	}
	id := visitOf(v).Session.ID
	if !slices.ContainsFunc(list, func(s people.Session) bool { return s.ID == id }) {
		return fmt.Errorf("session %d: %w", id, fs.ErrNotExist)
	}
	return nil
}

func (d *Desk) SignOut(ctx context.Context, token string) error {
	s, err := d.o.Access.Resume(ctx, token)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	account := s.Account.ID
	s.Close()
	err = d.o.Access.SignOut(ctx, token)
	// This request holds the shelf too: it is forgotten once that has let go.
	atEnd(ctx, func() { time.AfterFunc(time.Second, func() { d.o.Shelves.Forget(account) }) })
	return err
}

func ceremony(c people.Ceremony, err error) (web.Ceremony, error) {
	return web.Ceremony{ID: c.State, Options: c.Options}, provenError(err)
}

func (d *Desk) BeginPasskey(ctx context.Context) (web.Ceremony, error) {
	return ceremony(d.o.Access.BeginPasskey(ctx))
}

func (d *Desk) FinishPasskey(ctx context.Context, id string, answer []byte, c web.Caller) (*web.Viewer, error) {
	s, err := d.o.Access.FinishPasskey(ctx, id, answer, c.From, c.Agent)
	return d.viewer(ctx, s, err)
}

func (d *Desk) Recover(ctx context.Context, name, code, password string, c web.Caller) (*web.Viewer, string, error) {
	s, err := d.o.Access.Recover(ctx, name, code, password, c.From, c.Agent)
	if err != nil {
		return nil, "", pageError(err)
	}
	fresh := s.Recovery
	v, err := d.viewer(ctx, s, nil)
	return v, fresh, err
}

func (d *Desk) BeginStepUp(ctx context.Context, v *web.Viewer) (web.Ceremony, error) {
	return ceremony(d.o.Access.BeginStepUp(ctx, visitOf(v).Session))
}

func (d *Desk) FinishStepUp(ctx context.Context, v *web.Viewer, id string, answer []byte) error {
	return provenError(d.o.Access.FinishStepUp(ctx, visitOf(v).Session, id, answer, d.by(ctx, v)))
}

func (d *Desk) StepUpByCode(ctx context.Context, v *web.Viewer, code string) error {
	return provenError(d.o.Access.StepUpByCode(ctx, visitOf(v).Session, code, d.by(ctx, v)))
}

func (d *Desk) Prove(ctx context.Context, v *web.Viewer, password string, c web.Caller) error {
	by := people.By{Account: v.Account, From: c.From, Agent: c.Agent}
	return provenError(d.o.Access.Prove(ctx, visitOf(v).Session, password, by))
}

func (d *Desk) StartAnew(ctx context.Context, v *web.Viewer, c web.Caller) (string, error) {
	by := people.By{Account: v.Account, From: c.From, Agent: c.Agent}
	code, err := d.o.Access.ResetRoots(ctx, visitOf(v).Session, by, access.OldPersonalMail)
	return code, provenError(err)
}

// by is who makes a change. Behind a proxy it is the proxy that it comes from.
func (d *Desk) by(ctx context.Context, v *web.Viewer) people.By {
	a := ctx.Value(attendanceKey{}).(*attendance)
	return people.By{Account: v.Account, From: a.from, Agent: a.agent}
}

// Folders implements web.Mailbox, as do the methods below.
func (d *Desk) Folders(ctx context.Context, v *web.Viewer) ([]web.Folder, error) {
	list, err := visitOf(v).Folders(ctx)
	var out []web.Folder
	for _, f := range list {
		out = append(out, web.Folder{ID: f.ID, Class: f.Class, Name: f.Name, Role: f.Role, Total: f.Total, Unseen: f.Unseen})
	}
	return out, err
}

func line(r mailbox.Row) web.Line {
	return web.Line{
		Row: r.ID, Entry: r.Entry, Thread: r.Thread, Folder: r.Folder, UID: r.UID, Class: r.Class, Date: r.Date, From: r.From, To: r.To,
		Subject: r.Subject, Snippet: r.Snippet, Size: r.Size, Attachments: r.Attachments, Closed: r.Closed,
		Seen: r.Flags&mailbox.FlagSeen != 0, Answered: r.Flags&mailbox.FlagAnswered != 0, Flagged: r.Flags&mailbox.FlagFlagged != 0,
	}
}

// lines are the rows that a visit may see.
func lines(v *office.Visit, rows []mailbox.Row) []web.Line {
	var out []web.Line
	for _, r := range rows {
		if v.Scope.Has(r.Class) {
			out = append(out, line(r))
		}
	}
	return out
}

func (d *Desk) List(ctx context.Context, v *web.Viewer, folder, offset, n int64) ([]web.Line, error) {
	visit := visitOf(v)
	if err := visit.CheckFolder(ctx, folder); err != nil {
		return nil, err
	}
	rows, err := visit.View().List(ctx, folder, offset, n)
	return lines(visit, rows), err
}

func (d *Desk) Position(ctx context.Context, v *web.Viewer, folder, row int64) (int64, error) {
	if err := visitOf(v).CheckFolder(ctx, folder); err != nil {
		return 0, err
	}
	return visitOf(v).View().Position(ctx, folder, row)
}

func (d *Desk) Get(ctx context.Context, v *web.Viewer, entry int64) (web.Line, error) {
	visit := visitOf(v)
	r, err := visit.View().Get(ctx, entry)
	if err == nil && r.Closed && visit.Shelf != nil {
		// It may have come this moment.
		if err = visit.Sync(ctx); err == nil {
			r, err = visit.View().Get(ctx, entry)
		}
	}
	if err == nil && !visit.Scope.Has(r.Class) {
		err = fmt.Errorf("entry %d: %w", entry, fs.ErrNotExist)
	}
	return line(r), err
}

func (d *Desk) Thread(ctx context.Context, v *web.Viewer, thread int64) ([]web.Line, error) {
	rows, err := visitOf(v).View().Thread(ctx, thread)
	return lines(visitOf(v), rows), err
}

func (d *Desk) UIDs(ctx context.Context, v *web.Viewer, folder int64) ([]int64, error) {
	visit := visitOf(v)
	if err := visit.CheckFolder(ctx, folder); err != nil {
		return nil, err
	}
	places, err := d.o.Mailbox.Places(ctx, visit.Account, folder, 1, 1<<32)
	var out []int64
	for _, p := range places {
		out = append(out, p.UID)
	}
	return out, err
}

var markFlags = map[web.Mark]mailbox.Flags{web.MarkSeen: mailbox.FlagSeen, web.MarkFlagged: mailbox.FlagFlagged, web.MarkAnswered: mailbox.FlagAnswered}

func (d *Desk) Mark(ctx context.Context, v *web.Viewer, folder int64, uids []int64, m web.Mark, on bool) error {
	if err := visitOf(v).CheckFolder(ctx, folder); err != nil {
		return err
	}
	op := mailbox.Remove
	if on {
		op = mailbox.Add
	}
	_, err := d.o.Mailbox.Flag(ctx, v.Account, folder, uids, op, markFlags[m], nil)
	return err
}

func (d *Desk) Move(ctx context.Context, v *web.Viewer, folder int64, uids []int64, to int64) ([]int64, error) {
	visit := visitOf(v)
	if err := errors.Join(visit.CheckFolder(ctx, folder), visit.CheckFolder(ctx, to)); err != nil {
		return nil, err
	}
	moved, err := visit.Move(ctx, folder, uids, to)
	var out []int64
	for _, c := range moved {
		out = append(out, c.To)
	}
	return out, pageError(err)
}

func (d *Desk) Expunge(ctx context.Context, v *web.Viewer, folder int64, uids []int64) error {
	return pageError(visitOf(v).Expunge(ctx, folder, uids))
}

func (d *Desk) CreateFolder(ctx context.Context, v *web.Viewer, class sijill.Class, name string) (int64, error) {
	if !visitOf(v).Scope.Has(class) {
		return 0, fs.ErrNotExist
	}
	f, err := d.o.Mailbox.CreateFolder(ctx, v.Account, class, name)
	return f.ID, pageError(err)
}

func (d *Desk) RenameFolder(ctx context.Context, v *web.Viewer, folder int64, name string) error {
	if err := visitOf(v).CheckFolder(ctx, folder); err != nil {
		return err
	}
	return pageError(d.o.Mailbox.RenameFolder(ctx, v.Account, folder, name))
}

func (d *Desk) DeleteFolder(ctx context.Context, v *web.Viewer, folder int64) error {
	if err := visitOf(v).CheckFolder(ctx, folder); err != nil {
		return err
	}
	return pageError(d.o.Mailbox.DeleteFolder(ctx, v.Account, folder))
}

// Watch implements web.Watcher. It gives back what the request has taken.
func (d *Desk) Watch(v *web.Viewer) (<-chan struct{}, func()) {
	visit := visitOf(v)
	visit.Close()
	visit.Session.Close()
	return d.o.Mailbox.Watch(v.Account)
}

// Query implements web.Finder.
func (d *Desk) Query(ctx context.Context, v *web.Viewer, q string, opts search.Options) (*web.Findings, error) {
	r, err := visitOf(v).Query(ctx, q, opts)
	if err != nil {
		return nil, err
	}
	out := &web.Findings{Total: r.Total, TotalIsFloor: r.TotalIsFloor, Next: r.Next}
	for _, h := range r.Hits {
		out.Hits = append(out.Hits, web.Hit{Line: line(h.Row), Spans: h.Snippet})
	}
	return out, nil
}

// Original implements web.Records, as do the methods below.
func (d *Desk) Original(ctx context.Context, v *web.Viewer, entry int64) ([]byte, message.Envelope, error) {
	it, err := visitOf(v).Item(ctx, entry)
	if err != nil {
		return nil, message.Envelope{}, err
	}
	c, err := it.Content()
	if err != nil {
		return nil, message.Envelope{}, pageError(err)
	}
	return c.Message, c.Envelope, nil
}

func (d *Desk) Seal(ctx context.Context, v *web.Viewer, entry int64) (web.SealInfo, error) {
	it, err := visitOf(v).Item(ctx, entry)
	if err != nil {
		return web.SealInfo{}, err
	}
	if err := d.o.Register.Refresh(ctx); err != nil {
		return web.SealInfo{}, err
	}
	size, note := d.o.Register.Head()
	info := web.SealInfo{Entry: entry, Time: it.Entry.Time, Size: size, Checkpoint: string(note)}
	if m := it.Entry.Message; m != nil {
		info.Commitment = base64.StdEncoding.EncodeToString(m.Commitment[:])
	}
	return info, nil
}

func (d *Desk) Proof(ctx context.Context, v *web.Viewer, entry int64) ([]byte, error) {
	visit := visitOf(v)
	if _, err := visit.Item(ctx, entry); err != nil {
		return nil, err
	}
	p, err := d.o.Register.ProofFor(ctx, entry, false, visit.Session.Ring())
	if err != nil {
		return nil, err
	}
	return p.Marshal()
}

func (d *Desk) Checkpoint(ctx context.Context) ([]byte, error) {
	err := d.o.Register.Refresh(ctx)
	_, note := d.o.Register.Head()
	return note, err
}

func (d *Desk) Tile(ctx context.Context, path string) ([]byte, error) {
	t, err := sijill.ParseTilePath(path)
	if err != nil || t.L == sijill.EntryTile { // Entries are for auditors, not for the public.
		return nil, fs.ErrNotExist
	}
	return d.o.Register.Tile(ctx, t)
}

func (d *Desk) Key() string { return d.o.Register.Key() }
