package intake

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// FuzzImport gives any bytes under any name: the import must end, add up, and
// capture nothing that the file doesn't have.
func FuzzImport(f *testing.F) {
	f.Add("a.mbox", []byte(letters(2)))
	f.Add("a.eml", []byte("Subject: x\n\n"))
	f.Add("a.zip", []byte(zipOf(f, member{"1.eml", "Subject: 1\n\n"}, member{"2.mbox", letters(1)})))
	f.Add("a.tar", []byte(tarOf(f, member{"1.eml", "Subject: 1\n\n"})))
	f.Add("a.gz", []byte(pack(f, ".gz", letters(1))))
	f.Add("a.zst", []byte(pack(f, ".zst", letters(1))))
	f.Fuzz(func(t *testing.T, name string, content []byte) {
		name = filepath.Base(name)
		o := newOffice(t, Options{MaxMessage: 1 << 16, InFlight: 4})
		p := filepath.Join(o.dir, name)
		if os.WriteFile(p, content, 0o600) != nil {
			t.Skip("no name for a file")
		}
		res, err := o.im.Import(context.Background(), o.job(p))
		if errors.Is(err, ErrNoMail) {
			return
		}
		if err != nil || !res.Finished || !res.Counts.AddsUp() || int64(len(o.reg.kept)) != res.Counts.Captured {
			t.Fatalf("%+v, %d kept: %v", res, len(o.reg.kept), err)
		}
		if remarks, _ := o.remarks(res.Report); int64(len(remarks)) != res.Counts.Refused+res.Counts.NotMail {
			t.Fatalf("%d remarks: %+v", len(remarks), res.Counts)
		}
	})
}

// FuzzFolder makes folders of any names: they are UTF-8 and have no empty or
// parent levels.
func FuzzFolder(f *testing.F) {
	f.Add("INBOX", ".Work.&BkUGRAZBBicGKg-")
	f.Add("a", "..")
	f.Fuzz(func(t *testing.T, base, dir string) {
		for _, s := range []string{folderName(base), subfolder("root", dir), decodeUTF7(printable(dir))} {
			if !utf8.ValidString(s) {
				t.Fatalf("%q and %q gave %q", base, dir, s)
			}
		}
		if c := component(dir); c == "" || c == ".." || bytes.ContainsAny([]byte(c), "/\x00") {
			t.Fatalf("%q gave %q", dir, c)
		}
	})
}

// FuzzDirectorySize must not fail on any file; archive/zip does the reading.
func FuzzDirectorySize(f *testing.F) {
	f.Add([]byte(zipOf(f, member{"1.eml", "x"})))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := directorySize(bytes.NewReader(b), int64(len(b)))
		if z, err := zip.NewReader(bytes.NewReader(b), int64(len(b))); err == nil && len(z.File) > 0 && n < int64(46*len(z.File)) {
			t.Fatalf("%d members in a directory of %d bytes", len(z.File), n)
		}
	})
}
