package intake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

type member struct{ name, content string }

func zipOf(t testing.TB, members ...member) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		w, err := z.Create(m.name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(m.content))
	}
	z.Close()
	return b.String()
}

func tarOf(t testing.TB, members ...member) string {
	var b bytes.Buffer
	z := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o600, Size: int64(len(m.content)), ModTime: fixed}
		if m.content == "" {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
		}
		if err := z.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		z.Write([]byte(m.content))
	}
	z.Close()
	return b.String()
}

// folders are the folders of what is kept, by the message's first line.
func (o *office) folders() map[string]string {
	m := map[string]string{}
	for _, k := range o.reg.kept {
		line, _, _ := strings.Cut(string(k.message), "\n")
		m[strings.TrimRight(line, "\r")] = k.Envelope.Folder
	}
	return m
}

func (o *office) wantFolders(want map[string]string) {
	o.t.Helper()
	if got := o.folders(); !maps.Equal(got, want) {
		o.t.Errorf("folders %v\nwant %v", got, want)
	}
}

// reasons are the report's remarks by file.
func (o *office) reasons(res *Result) map[string]string {
	m := map[string]string{}
	list, _ := o.remarks(res.Report)
	for _, r := range list {
		m[r.File] = r.Type + ": " + r.Reason
	}
	return m
}

func TestMaildir(t *testing.T) {
	o := newOffice(t, Options{})
	lf, crlf := "Subject: lf\n\n>From kept\n", "Subject: crlf\r\n\r\nkept\r\n"
	seen := o.put("Mail/cur/1.host:2,FS", lf)
	o.put("Mail/cur/2.host:2,R", crlf)
	o.put("Mail/cur/3.host:2,S", pack(t, ".gz", "Subject: packed\n\n"))
	o.put("Mail/new/4.host", fromLine+"Subject: with From_\n\n")
	o.put("Mail/tmp/5.host", "Subject: half\n")
	o.put("Mail/dovecot-uidlist", "3 V1 N5\n")
	o.put("Mail/.Sent/cur/6;2,S", "Subject: sent\n\n")
	o.put("Mail/.Sent/new/.keep", "")
	o.put("Mail/.Work.&BkUGRAZBBicGKg-/cur/7:2,", "no header at all")
	o.put("Mail/.Work.&BkUGRAZBBicGKg-/new/8", "Subject: deep\n\n")
	when := time.Date(2012, 9, 11, 21, 0, 0, 0, time.UTC)
	if err := os.Chtimes(seen, when, when); err != nil {
		t.Fatal(err)
	}
	res := o.run(filepath.Join(o.dir, "Mail"))
	if want := (Counts{Seen: 8, Captured: 7, Refused: 1, NotMail: 2, Bytes: res.Counts.Bytes}); res.Counts != want {
		t.Errorf("counts %+v", res.Counts)
	}
	o.wantFolders(map[string]string{
		"Subject: lf": "Mail", "Subject: crlf": "Mail", "Subject: packed": "Mail", strings.TrimSpace(fromLine): "Mail",
		"Subject: sent": "Mail/Sent", "no header at all": "Mail/Work/ملفات", "Subject: deep": "Mail/Work/ملفات",
	})
	for _, k := range o.reg.kept {
		e := k.Envelope
		switch m := string(k.message); {
		case m == lf && (!e.Seen || !e.Internal.Equal(when) || e.LineEnds != "" || e.Source != "Mail/cur/1.host:2,FS"):
			t.Errorf("seen: %+v", e)
		case m == crlf && e.Seen:
			t.Errorf("not seen: %+v", e)
		}
	}
	if got := o.reg.messages(); !slices.Contains(got, lf) || !slices.Contains(got, crlf) {
		t.Errorf("bytes were changed: %q", got)
	}
	if got := o.reasons(res)["tmp/5.host"]; got != "refused: "+string(unfinished) {
		t.Errorf("tmp: %q", got)
	}
}

func TestTree(t *testing.T) {
	o := newOffice(t, Options{})
	o.put("box/1.eml", "Subject: 1\n\n")
	o.put("box/deep/er/2.eml", "Subject: 2\n\nFrom x\n")
	o.put("box/deep/3", "Subject: 3\nFrom: a@b.example\n\n")
	o.put("box/Inbox", fromLine+"Subject: 4\n\n")
	o.put("box/Inbox.msf", "// <!-- <mdb:mork:z v=\"1.4\"/> -->\n")
	o.put("box/Inbox.sbd/Work", fromLine+"Subject: 5\n\n")
	o.put("box/empty.eml", "")
	o.put("box/photo.jpg", "\xff\xd8\xff\xe0\x00\x10JFIF")
	o.put("box/fake.eml", "\x00\x01\x02")
	o.put("box/notes.txt", "Note: this is no mail\n\n")
	o.put("box/old.pst", "!BDN\x00")
	o.put("box/6.eml.zst", pack(t, ".zst", "Subject: 6\n\n"))
	o.put("box/cut.eml.gz", pack(t, ".gz", "Subject: 7\n\n")[:20])
	in := filepath.Join(o.dir, "box")
	for name, to := range map[string]string{"loop": in, "gone": "nowhere", "deep/secret.eml": "/etc/passwd"} {
		if err := os.Symlink(to, filepath.Join(in, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(in, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	res := o.run(in)
	o.wantFolders(map[string]string{"Subject: 1": "box", "Subject: 2": "box/deep/er", "Subject: 3": "box/deep",
		"Subject: 4": "box/Inbox", "Subject: 5": "box/Inbox/Work", "Subject: 6": "box"})
	if want := (Counts{Seen: 11, Captured: 6, Refused: 5, NotMail: 6, Bytes: res.Counts.Bytes}); res.Counts != want {
		t.Errorf("counts %+v", res.Counts)
	}
	want := map[string]string{
		"Inbox.msf": "not mail: " + string(noHeader), "empty.eml": "not mail: " + string(emptyFile),
		"photo.jpg": "not mail: " + string(noHeader), "fake.eml": "not mail: " + string(noHeader),
		"notes.txt": "not mail: " + string(noHeader), "old.pst": "not mail: " + string(isPST),
		"loop": "refused: " + string(symlink), "gone": "refused: " + string(symlink), "deep/secret.eml": "refused: " + string(symlink),
		"pipe": "refused: " + string(notRegular), "cut.eml.gz": "refused: " + string(damaged),
	}
	if got := o.reasons(res); !maps.Equal(got, want) {
		t.Errorf("reasons %v", got)
	}
	offsets := map[int64]bool{}
	for _, k := range o.reg.kept {
		if offsets[k.Envelope.Offset] {
			t.Errorf("two messages at offset %d", k.Envelope.Offset)
		}
		offsets[k.Envelope.Offset] = true
	}
	// What a tree is called doesn't matter, what is in it does.
	os.Rename(in, filepath.Join(o.dir, "moved"))
	if res := o.run(filepath.Join(o.dir, "moved")); !res.Earlier {
		t.Errorf("moved: %+v", res)
	}
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	o := newOffice(t, Options{})
	o.put("box/1.eml", "Subject: 1\n\n")
	os.Chmod(o.put("box/2.eml", "Subject: 2\n\n"), 0)
	o.put("box/shut/3.eml", "Subject: 3\n\n")
	os.Chmod(filepath.Join(o.dir, "box/shut"), 0)
	t.Cleanup(func() { os.Chmod(filepath.Join(o.dir, "box/shut"), 0o700) })
	res := o.run(filepath.Join(o.dir, "box"))
	if got := o.reasons(res); got["2.eml"] != "refused: "+string(unreadable) || got["shut"] != "refused: "+string(unreadable) {
		t.Errorf("reasons %v", got)
	}
}

func TestZipAndTar(t *testing.T) {
	members := []member{
		{"1.eml", "Subject: 1\n\n"}, {"a/b/2.eml", "Subject: 2\n\n"}, {"../../a\\3.eml", "Subject: 3\n\n"},
		{"m/cur/4:2,S", "Subject: 4\n\n"}, {"x.mbox", letters(2)}, {"readme", "hello"},
		{"5.eml.gz", pack(t, ".gz", "Subject: 5\n\n")}, {"in.zip", zipOf(t, member{"9.eml", "Subject: 9\n\n"})},
	}
	for name, content := range map[string]string{
		"all.zip": zipOf(t, members...), "all.tar": tarOf(t, members...),
		"all.tar.gz": pack(t, ".gz", tarOf(t, members...)), "all.tar.zst": pack(t, ".zst", tarOf(t, members...)),
	} {
		o := newOffice(t, Options{})
		res := o.run(o.put(name, content))
		o.wantFolders(map[string]string{"Subject: 1": "all", "Subject: 2": "all/a/b", "Subject: 3": "all/a", "Subject: 4": "all/m",
			"From: scribe@diwan.example": "all/x", "Subject: 5": "all"})
		if want := (Counts{Seen: 8, Captured: 7, Refused: 1, NotMail: 1, Bytes: res.Counts.Bytes}); res.Counts != want {
			t.Errorf("%s: %+v", name, res.Counts)
		}
		if got := o.reasons(res); got["in.zip"] != "refused: "+string(nested) || got["readme"] != "not mail: "+string(noHeader) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBadArchives(t *testing.T) {
	secret := []byte(zipOf(t, member{"1.eml", "Subject: 1\n\n"}))
	secret[bytes.Index(secret, []byte("PK\x01\x02"))+8] |= 1
	tarball := tarOf(t, member{"1.eml", "Subject: 1\n\n"}, member{"link", ""}, member{"2.eml", strings.Repeat("Subject: 2\n", 200)})
	whole := zipOf(t, member{"1.eml", "Subject: 1\n\n"})
	for _, c := range []struct {
		name, content, file string
		why                 reason
		captured            int64
	}{
		{"secret.zip", string(secret), "1.eml", encrypted, 0},
		{"cut.zip", whole[:len(whole)-10], "", damaged, 0},
		{"zip.gz", pack(t, ".gz", whole), "", nested, 0},
		{"link.tar", tarball, "link", symlink, 2},
		{"cut.tar", tarball[:2600], "2.eml", damaged, 1},
	} {
		o := newOffice(t, Options{})
		res := o.run(o.put(c.name, c.content))
		if got := o.reasons(res)[c.file]; got != "refused: "+string(c.why) || res.Counts.Captured != c.captured {
			t.Errorf("%s: %v %+v", c.name, o.reasons(res), res.Counts)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"enron.mbox.zst": "enron", "Mail": "Mail", "a/b\x00c.eml": "a_b_c", "x.tar.gz": "x", ".mbox": ".mbox", "..": "_",
		"سجل.zip": "سجل", "bad\xff.mbx": "bad_",
	} {
		if got := folderName(in); got != want {
			t.Errorf("folderName(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"Sent": "Sent", "R&AOk-sum&AOk-": "Résumé", "A&-B": "A&B", "&": "&", "&BkU": "&BkU", "&!!-": "&!!-", "&2D0-": "&2D0-", "بريد": "بريد",
	} {
		if got := decodeUTF7(in); got != want {
			t.Errorf("decodeUTF7(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]bool{"1:2,S": true, "1:2,FS": true, "1!2,S": true, "1:2,F": false, "1": false, "2,S": false, "S:2,": false} {
		if isSeen(in) != want {
			t.Errorf("isSeen(%q)", in)
		}
	}
	for in, want := range map[string]bool{
		"Status: RO\n\n": true, "Subject: x\r\nStatus: O\r\n\r\nStatus: R\r\n": false, "X-Mozilla-Status: 0001\n\n": true, "X-Mozilla-Status: 0008\n\n": false, "A: b": false,
	} {
		if readStatus([]byte(in)) != want {
			t.Errorf("readStatus(%q)", in)
		}
	}
}

// The Importer must not wait where a source changed into something else
// between the two looks at it.
func TestPipeIsNotOpened(t *testing.T) {
	o := newOffice(t, Options{})
	p := filepath.Join(o.dir, "pipe")
	if err := syscall.Mkfifo(p, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := o.im.Import(context.Background(), o.job(p))
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			t.Error("a pipe was imported")
		}
	case <-time.After(30 * time.Second):
		t.Error("waiting at a pipe")
	}
}
