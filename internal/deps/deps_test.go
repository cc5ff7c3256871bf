// Package deps holds the one rule about imports: a package imports packages on
// lower floors only.
package deps

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// floors is the table of DESIGN: a package may import what stands on a lower
// floor. A folder's subpackages stand on its floor unless named.
var floors = map[string]int{
	"sijill": 0, "sijill/internal/message": 0, "sijill/internal/text": 0, "sijill/internal/blob": 0,
	"sijill/internal/db": 0, "sijill/internal/page": 0, "sijill/internal/view": 0,
	"sijill/internal/resolve": 0, "sijill/internal/mailauth": 0,
	"sijill/internal/vault": 1, "sijill/internal/people": 1, "sijill/internal/junk": 1, "sijill/internal/reports": 1,
	"sijill/internal/evidence": 1, "sijill/internal/certs": 0,
	"sijill/internal/record": 2, "sijill/internal/audit": 2,
	"sijill/internal/mailbox": 3, "sijill/internal/search": 3, "sijill/internal/shelf": 3,
	"sijill/internal/outbox": 3, "sijill/internal/access": 3, "sijill/internal/wall": 3,
	"sijill/internal/post": 4, "sijill/internal/door": 4, "sijill/internal/config": 0,
	"sijill/internal/smtpd": 5, "sijill/internal/imapd": 5, "sijill/internal/intake": 5, "sijill/internal/web": 5, "sijill/internal/setup": 5,
	"sijill/internal/office":      6,
	"sijill/internal/office/desk": 7, "sijill/internal/office/programs": 7, "sijill/internal/office/imports": 7, "sijill/internal/server": 7,
	"sijill/cmd/sijill": 8,
	// It drives the program from without.
	"sijill/bench": 8,
	// A kit for tests: it makes registers and has them audited.
	"sijill/internal/record/recordtest": 8,
	"sijill/internal/deps":              8,
}

// beside names the pairs on one floor, and why.
var beside = map[[2]string]string{
	{"sijill/internal/mailauth", "sijill/internal/message"}:       "addresses and words of header fields are read in one way",
	{"sijill/internal/search", "sijill/internal/mailbox"}:         "hits are rows that the mailbox keeps",
	{"sijill/internal/shelf", "sijill/internal/mailbox"}:          "what is unlocked is kept in the mailbox's own tables, in memory",
	{"sijill/internal/shelf", "sijill/internal/search"}:           "and found by the same search",
	{"sijill/internal/server", "sijill/internal/office/desk"}:     "what stands behind the pages that are served",
	{"sijill/internal/server", "sijill/internal/office/programs"}: "and behind the doors of mail programs",
}

// onlyFrom names who may import a package at all.
var onlyFrom = map[string][]string{
	"sijill/internal/vault":      {"sijill/internal/record", "sijill/internal/access", "sijill/internal/shelf", "sijill/internal/audit", "sijill/internal/office", "sijill/internal/office/desk", "sijill/cmd/sijill", "sijill/internal/record/recordtest"},
	"sijill/internal/blob":       {"sijill/internal/record", "sijill/internal/office", "sijill/internal/blob", "sijill/internal/record/recordtest"},
	"sijill/internal/blob/files": {"sijill/internal/office", "sijill/internal/record/recordtest"},
	"sijill/internal/view":       {"sijill/internal/web", "sijill/cmd/sijill"},
}

// doors never reach the register or a database.
var doors = []string{"sijill/internal/smtpd", "sijill/internal/imapd", "sijill/internal/intake", "sijill/internal/web", "sijill/internal/setup"}

var closedToDoors = []string{"sijill/internal/record", "sijill/internal/db", "sijill/internal/vault", "sijill/internal/blob", "sijill/internal/audit"}

func floor(pkg string) (int, bool) {
	for p := pkg; p != "" && p != "."; p = parent(p) {
		if f, ok := floors[p]; ok && (p != "sijill" || pkg == "sijill") {
			return f, true
		}
	}
	return 0, false
}

func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i > 0 {
		return p[:i]
	}
	return ""
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) (list []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "sijill/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(out)))
	for d.More() {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func TestFloors(t *testing.T) {
	list := packages(t)
	if len(list) < 10 {
		t.Fatalf("only %d packages found", len(list))
	}
	for _, p := range list {
		f, ok := floor(p.ImportPath)
		if !ok {
			t.Errorf("%s stands on no floor: add it to the table", p.ImportPath)
			continue
		}
		for _, to := range p.Imports {
			if to == "sijill" || strings.HasPrefix(to, "sijill/") {
				check(t, p.ImportPath, f, to)
			}
		}
	}
}

func check(t *testing.T, from string, f int, to string) {
	t.Helper()
	g, _ := floor(to)
	family := strings.HasPrefix(from, to+"/") || strings.HasPrefix(to, from+"/") || parent(from) == parent(to) && strings.Count(from, "/") > 2
	if g >= f && !(g == f && (family || beside[[2]string{from, to}] != "" || to == "sijill")) {
		t.Errorf("%s (floor %d) imports %s (floor %d)", from, f, to, g)
	}
	if only, ok := onlyFrom[to]; ok && !contains(only, from) && !family {
		t.Errorf("%s imports %s, which only %v may", from, to, only)
	}
	for _, d := range doors {
		if (from == d || strings.HasPrefix(from, d+"/")) && contains(closedToDoors, to) {
			t.Errorf("the door %s imports %s", from, to)
		}
	}
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
