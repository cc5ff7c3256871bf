package web

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
)

// spotOf finds where a message of records lies: the value that names it to /act.
func (o *office) spotOf(tb testing.TB, entry int64) (pick, role string, class sijill.Class) {
	tb.Helper()
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	for _, p := range o.store.placed {
		if p.account == 1 && p.entry == entry {
			f := o.store.folder(1, func(f *Folder) bool { return f.ID == p.folder })
			return fmt.Sprintf("%d-%d", p.folder, p.uid), f.Role, f.Class
		}
	}
	return "", "", ""
}

// tokenOf is the token of the offer to undo on a page.
func tokenOf(page string) string {
	_, rest, _ := strings.Cut(page, `name="undo" value="`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

func TestMoveAndUndo(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	office, personal := o.entry(t, "<contract@"), o.entry(t, "<dinner@")
	for do, role := range map[string]string{"archive": roleArchive, "junk": roleJunk, "delete": roleTrash} {
		for _, entry := range []int64{office, personal} {
			pick, _, class := o.spotOf(t, entry)
			a := post(t, c, o.URL+"/act", url.Values{"do": {do}, "at": {pick}, "back": {"/folders"}})
			if _, now, still := o.spotOf(t, entry); now != role || still != class {
				t.Errorf("%s: in %s of %s", do, now, still)
			}
			token := tokenOf(a.body)
			if token == "" || a.Request.URL.Path != "/folders" {
				t.Fatalf("%s: no offer to undo at %s", do, a.Request.URL)
			}
			post(t, c, o.URL+"/undo", url.Values{"undo": {token}, "back": {"/folders"}})
			if _, now, _ := o.spotOf(t, entry); now != roleInbox {
				t.Errorf("%s undone: in %s", do, now)
			}
			if again := post(t, c, o.URL+"/undo", url.Values{"undo": {token}}, "Accept-Language", "en"); !strings.Contains(again.body, "too late") {
				t.Errorf("%s: undone twice", do)
			}
		}
	}
}

func TestUndoIsOnesOwn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	entry := o.entry(t, "<contract@")
	pick, _, _ := o.spotOf(t, entry)
	a := post(t, o.signIn(t, records), o.URL+"/act", url.Values{"do": {"archive"}, "at": {pick}, "back": {"/folders"}})
	post(t, o.signIn(t, noura), o.URL+"/undo", url.Values{"undo": {tokenOf(a.body)}})
	if _, role, _ := o.spotOf(t, entry); role != roleArchive {
		t.Error("another undid it")
	}
}

// Mail doesn't pass from one identity to the other by being moved.
func TestMoveStopsAtTheWall(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	entry := o.entry(t, "<contract@")
	pick, _, _ := o.spotOf(t, entry)
	to := o.store.folder(1, func(f *Folder) bool { return f.Class == sijill.Personal && f.Role == roleArchive })
	a := post(t, c, o.URL+"/act", url.Values{"do": {"move"}, "to": {fmt.Sprint(to.ID)}, "at": {pick}, "back": {"/help"}}, "Accept-Language", "en")
	if _, role, class := o.spotOf(t, entry); role != roleInbox || class != sijill.Office || !strings.Contains(a.body, "file a copy") {
		t.Errorf("in %s of %s; %s", role, class, a.Status)
	}
}

func TestMarkAndAll(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	inbox := o.store.folder(1, func(f *Folder) bool { return f.Class == sijill.Office && f.Role == roleInbox })
	v := &Viewer{Account: 1, Office: true}
	post(t, c, o.URL+"/act", url.Values{"do": {"read"}, "all": {fmt.Sprint(inbox.ID)}})
	folders, _ := o.store.Folders(t.Context(), v)
	if f, _ := find(folders, inbox.ID); f.Unseen != 0 || f.Total != 158 {
		t.Errorf("%d of %d unread", f.Unseen, f.Total)
	}
	entry := o.entry(t, "<contract@")
	pick, _, _ := o.spotOf(t, entry)
	for do, want := range map[string]bool{"flag": true, "unflag": false} {
		a := post(t, c, o.URL+"/act", url.Values{"one": {do + " " + pick}}, "HX-Request", "true")
		row, _ := o.store.Get(t.Context(), v, entry)
		if row.Flagged != want || !strings.Contains(a.body, `id="toast"`) || strings.Contains(a.body, "<html") {
			t.Errorf("%s: %v; %s", do, row.Flagged, a.Status)
		}
	}
	for _, bad := range []url.Values{{"do": {"read"}, "at": {"x-1"}}, {"do": {"read"}, "at": {"999-1"}}, {"do": {"burn"}, "at": {pick}}, {"do": {"move"}, "at": {pick}, "to": {"99999"}}, {"all": {"999"}}} {
		if a := post(t, c, o.URL+"/act", bad); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: %s", bad, a.Status)
		}
	}
}

// Removing for good asks first, and says of each class what it means.
func TestExpunge(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	for entry, word := range map[int64]string{o.entry(t, "<contract@"): "The register keeps it", o.entry(t, "<dinner@"): "key is destroyed"} {
		pick, _, _ := o.spotOf(t, entry)
		post(t, c, o.URL+"/act", url.Values{"do": {"delete"}, "at": {pick}})
		pick, _, _ = o.spotOf(t, entry)
		form := url.Values{"do": {"delete"}, "at": {pick}, "back": {"/folders"}}
		a := post(t, c, o.URL+"/act", form, "Accept-Language", "en")
		if _, role, _ := o.spotOf(t, entry); role != roleTrash || !strings.Contains(a.body, word) || !strings.Contains(a.body, `name="sure"`) {
			t.Fatalf("not asked: %s", a.Status)
		}
		form.Set("sure", "1")
		post(t, c, o.URL+"/act", form)
		if !slices.Contains(o.store.gone, entry) {
			t.Error("not removed")
		}
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	a := post(t, c, o.URL+"/folders", url.Values{"class": {"personal"}, "name": {"رحلات"}})
	if !strings.Contains(a.body, "رحلات") || a.Request.URL.Path != "/folders" {
		t.Fatal(a.Status)
	}
	f := o.store.folder(1, func(f *Folder) bool { return f.Name == "رحلات" })
	if f == nil || f.Class != sijill.Personal {
		t.Fatalf("%+v", f)
	}
	if a := post(t, c, o.URL+"/folders", url.Values{"class": {"personal"}, "name": {"رحلات"}}); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("twice: %s", a.Status)
	}
	if a := post(t, c, o.URL+"/folders", url.Values{"class": {"office"}, "name": {" "}}); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("without a name: %s", a.Status)
	}
	if a := post(t, o.signIn(t, noura), o.URL+"/folders", url.Values{"class": {"personal"}, "name": {"x"}}); a.StatusCode != http.StatusNotFound {
		t.Errorf("of a class that she hasn't: %s", a.Status)
	}
	at := fmt.Sprintf("%s/folders/%d", o.URL, f.ID)
	post(t, c, at, url.Values{"do": {"rename"}, "name": {"Travels"}})
	post(t, c, at, url.Values{"do": {"delete"}})
	if o.store.folder(1, func(g *Folder) bool { return g.ID == f.ID }) != nil || f.Name != "Travels" {
		t.Errorf("%+v", f)
	}
	inbox := o.store.folder(1, func(f *Folder) bool { return f.Role == roleInbox })
	if a := post(t, c, fmt.Sprintf("%s/folders/%d", o.URL, inbox.ID), url.Values{"do": {"delete"}}); a.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("deleting the inbox: %s", a.Status)
	}
}

// News come while the session lasts, and to nobody else.
func TestEvents(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	if a := get(t, newClient(t), o.URL+"/events"); a.StatusCode != http.StatusNoContent {
		t.Errorf("to strangers: %s", a.Status)
	}
	c := o.signIn(t, records)
	res, err := c.Get(o.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if strings.HasPrefix(s.Text(), "data:") {
				lines <- s.Text()
			}
		}
	}()
	next := func() string {
		select {
		case l := <-lines:
			return l
		case <-time.After(30 * time.Second):
			t.Fatal("no event came")
			return ""
		}
	}
	if first := next(); !strings.Contains(first, `"total":158`) || strings.Contains(first, "@") {
		t.Error(first)
	}
	o.store.arrive(o.books.add(t, filler(900), ""), sijill.Office, "", false, 1)
	if second := next(); !strings.Contains(second, `"total":159`) {
		t.Error(second)
	}
	post(t, c, o.URL+"/sign-out", nil)
	o.store.arrive(o.books.add(t, filler(901), ""), sijill.Office, "", false, 1)
	if l, ok := <-lines; ok {
		t.Errorf("after signing out: %s", l)
	}
}

// Personal mail that is closed says so, and how it is opened.
func TestClosed(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.gate.shut = true
	c := o.signIn(t, records)
	inbox := o.store.folder(1, func(f *Folder) bool { return f.Class == sijill.Personal && f.Role == roleInbox })
	list := get(t, c, fmt.Sprintf("%s/f/%d", o.URL, inbox.ID), "Accept-Language", "en")
	if strings.Contains(list.body, "appointment") || !strings.Contains(list.body, "row-closed") || !strings.Contains(list.body, "Personal mail is closed") {
		t.Error("the list doesn't say that it is closed, or tells what is in it")
	}
	a := get(t, c, fmt.Sprintf("%s/m/%d", o.URL, o.entry(t, "<dinner@")), "Accept-Language", "en")
	if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "/open?back=") {
		t.Errorf("%s", a.Status)
	}
	if w := get(t, c, o.URL+"/compose?class=personal"); !strings.Contains(w.body, `value="salma@bayt.example" data-class="personal"`) || !strings.Contains(w.body, "disabled") {
		t.Error("one may write personally without being able to read the draft again")
	}
	for code, want := range map[string]int{"nope": http.StatusUnprocessableEntity, recoveryCode: http.StatusOK} {
		if a := post(t, c, o.URL+"/open", url.Values{"code": {code}, "back": {"/folders"}}); a.StatusCode != want {
			t.Errorf("%s: %s", code, a.Status)
		}
	}
	if a := get(t, c, fmt.Sprintf("%s/m/%d", o.URL, o.entry(t, "<dinner@")), "Accept-Language", "en"); a.StatusCode != http.StatusOK || !strings.Contains(a.body, "Older mail open until") {
		t.Errorf("after opening: %s", a.Status)
	}
}

func TestReminders(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	c := o.signIn(t, records)
	entry := o.entry(t, "<article-4@")
	inbox := o.store.folder(1, func(f *Folder) bool { return f.Class == sijill.Personal && f.Role == roleInbox })
	for _, path := range []string{fmt.Sprintf("/f/%d", inbox.ID), fmt.Sprintf("/m/%d", entry), "/reminders"} {
		if a := get(t, c, o.URL+path, "Accept-Language", "en"); !strings.Contains(a.body, "9 December 2026") {
			t.Errorf("%s doesn't say by when", path)
		}
	}
	if a := get(t, o.signIn(t, noura), o.URL+"/reminders"); strings.Contains(a.body, "Article 4") {
		t.Error("another sees them")
	}
	a := post(t, c, fmt.Sprintf("%s/m/%d/copy", o.URL, entry), nil, "Accept-Language", "en")
	if !slices.Contains(o.mailer.filed, entry) || !strings.Contains(a.body, "4,711") {
		t.Errorf("%v; %s", o.mailer.filed, a.Status)
	}
	if a := get(t, c, o.URL+"/reminders"); strings.Contains(a.body, "Article 4") {
		t.Error("it is still due")
	}
}
