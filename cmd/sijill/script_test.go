package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Each file in testdata/script tells a story of the commands, one after the
// other, as a person would type them.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			e.Setenv("HOME", "/nonexistent")
			e.Setenv("SIJILL_DIR", filepath.Join(e.WorkDir, "office"))
			e.Setenv("NUL", "/dev/null")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"office": makeOffice,
			"change": change,
			"taken":  taken,
		},
	})
}

// makeOffice makes an office for laila and sami without waiting for passwords:
// office [DIR].
func makeOffice(ts *testscript.TestScript, neg bool, args []string) {
	dir := "office"
	if len(args) > 0 {
		dir = args[0]
	}
	ts.Check(os.CopyFS(ts.MkAbs(dir), os.DirFS(blank)))
}

// change replaces the first of some words in a file: change FILE OLD NEW.
func change(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: change FILE OLD NEW")
	}
	was := ts.ReadFile(args[0])
	if !strings.Contains(was, args[1]) {
		ts.Fatalf("%s does not contain %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(was, args[1], args[2], 1)), 0o600))
}

// taken listens on a port until the script ends: taken NAME.
func taken(ts *testscript.TestScript, neg bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], fmt.Sprint(l.Addr()))
}
