package search

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
)

// plan is a query made ready for the engine: one full-text expression, which
// asks for the account's mail only; a range of document numbers; and conditions
// on what the index can't express, tested on what the others leave.
type plan struct {
	match       string
	holder      int64 // The account.
	spill       int64 // How far a document's number may lie after its date.
	first, end  int64 // Document numbers: first is in the range, end is not.
	conditions  []string
	args        []any
	ranked      bool // The query has words to rank by.
	worded      bool // The expression asks for more than the account.
	alwaysEmpty bool // The ranges exclude each other, or it asks for another class's folder.
	drive       *drive
}

// planner turns a query into a plan.
type planner struct {
	id      int64
	class   sijill.Class
	account string // The account's tag, quoted.
	alone   bool   // All documents are the account's.
	hidden  bool   // Some of them lie nowhere any more.
	tx      *db.Tx
	folders []mailbox.Folder
	query   string
	now     time.Time
	plan
}

// newPlanner reads what a plan depends on, in the transaction that the plan
// will run in: it may leave the account out only as long as it is alone.
func (s *Search) newPlanner(tx *db.Tx, account int64, folders []mailbox.Folder, now time.Time) (*planner, error) {
	p := &planner{tx: tx, id: account, class: s.class, account: phrase(accountTag(account)), folders: folders, now: now}
	const q = `SELECT seconds, (SELECT count(*) FROM search_holder WHERE account <> ?) = 0,
		EXISTS (SELECT 1 FROM mail_left WHERE account = ?) FROM search_spill`
	if err := tx.One(q, []any{account, account}, &p.spill, &p.alone, &p.hidden); err != nil {
		return nil, fmt.Errorf("planning: %w", err)
	}
	return p, nil
}

// make makes the plan of q. Its error may be a *QueryError.
func (p *planner) make(q *Query) (*plan, error) {
	p.query, p.end, p.holder = q.text, math.MaxInt64, p.id
	if err := q.root.resolve(p); err != nil {
		return nil, err
	}
	var wanted []string
	unwanted := ""
	for _, n := range q.root.conjuncts() {
		switch {
		case n.op == opNot && n.kids[0].indexed():
			unwanted += " NOT " + p.expression(n.kids[0])
		case n.indexed():
			wanted = append(wanted, p.expression(n))
			p.ranked = p.ranked || n.hasWords()
		default:
			if err := p.narrow(n, &wanted); err != nil {
				return nil, err
			}
		}
	}
	// Every document has a holder, so that the account of an office of one
	// needn't be asked for: that makes most queries twice as quick.
	if !p.alone || len(wanted) == 0 {
		wanted = append([]string{p.account}, wanted...)
	}
	p.worded = len(wanted) > 1 || wanted[0] != p.account || unwanted != ""
	p.match = strings.Join(wanted, " AND ")
	if unwanted != "" {
		p.match = "(" + p.match + ")" + unwanted
	}
	if p.hidden && p.drive == nil {
		p.conditions = append(p.conditions, "NOT EXISTS (SELECT 1 FROM mail_left AS l WHERE l.account = ? AND l.entry = d.entry)")
		p.args = append(p.args, p.id)
	}
	p.alwaysEmpty = p.alwaysEmpty || p.first >= p.end
	return &p.plan, nil
}

// resolve finds the folders that a query names.
func (n *node) resolve(p *planner) error {
	for _, kid := range n.kids {
		if err := kid.resolve(p); err != nil {
			return err
		}
	}
	if n.op != opFolder {
		return nil
	}
	classes := []sijill.Class{p.class}
	if p.class == "" {
		classes = []sijill.Class{sijill.Office, sijill.Personal}
	}
	n.folders = nil
	known := false
	for _, c := range classes {
		f := p.folder(n.name, c)
		known = known || f != nil
		if f != nil && f.Class == c {
			n.folders = append(n.folders, f.ID)
		}
	}
	if known {
		return nil
	}
	return &QueryError{Offset: n.offset, Length: n.length, Code: CodeFolder, Arg: p.query[n.offset : n.offset+n.length]}
}

// roleWords are what folders with a role are called, in both languages.
var roleWords = map[string][]string{
	mailbox.RoleInbox:   {"inbox", "الوارد"},
	mailbox.RoleSent:    {"sent", "المرسل", "الصادر"},
	mailbox.RoleDrafts:  {"drafts", "المسودات"},
	mailbox.RoleJunk:    {"junk", "spam", "غير المرغوب", "المزعج"},
	mailbox.RoleTrash:   {"trash", "المهملات", "المحذوفات"},
	mailbox.RoleArchive: {"archive", "الأرشيف", "المحفوظات"},
}

// folder is the folder that name means, nil if none: the name as it is, else a
// role in either language, else a name spelt a little otherwise. One of the
// class that is searched goes before another's of the same name, which has none
// of it.
func (p *planner) folder(name string, class sijill.Class) *mailbox.Folder {
	folded := words().Terms(name)
	var best *mailbox.Folder
	bestAt := 0
	for i := range p.folders {
		f := &p.folders[i]
		at := 0
		switch {
		case f.Name == name:
			at = 3
		case slices.ContainsFunc(roleWords[f.Role], func(w string) bool { return folded != "" && words().Terms(w) == folded }):
			at = 2
		case strings.EqualFold(f.Name, name), folded != "" && words().Terms(f.Name) == folded:
			at = 1
		}
		if at == 0 {
			continue
		}
		if f.Class == class {
			at += 3
		}
		if at > bestAt {
			best, bestAt = f, at
		}
	}
	return best
}

// within is the condition on a place's folder, with an argument for each.
func (n *node) within() string {
	switch len(n.folders) {
	case 0:
		return "folder IN ()"
	case 1:
		return "folder = ?"
	}
	return "folder IN (?" + strings.Repeat(", ?", len(n.folders)-1) + ")"
}

// conjuncts are the parts of a query that must all hold.
func (n *node) conjuncts() []*node {
	if n.op != opAnd {
		return []*node{n}
	}
	var out []*node
	for _, kid := range n.kids {
		out = append(out, kid.conjuncts()...)
	}
	return out
}

// indexed tells whether the full-text index alone can answer n.
func (n *node) indexed() bool {
	for _, kid := range n.kids {
		if !kid.indexed() {
			return false
		}
	}
	return n.op != opDate && n.op != opSize && n.op != opFolder && n.op != opFlag
}

func (n *node) hasWords() bool {
	for _, kid := range n.kids {
		if n.op != opNot && kid.hasWords() {
			return true
		}
	}
	return n.op == opWords
}

// narrow uses a part that the index can't answer: as a range of numbers where
// it is one, and as a condition on what is left.
func (p *planner) narrow(n *node, wanted *[]string) error {
	switch {
	case n.op == opDate:
		p.within(n.dates.seconds(p.now))
	case n.op == opNot && n.kids[0].op == opDate && n.kids[0].dates.field == fieldBefore:
		_, to := n.kids[0].dates.seconds(p.now)
		p.within(to, math.MaxInt64)
	case n.op == opNot && n.kids[0].op == opDate && n.kids[0].dates.field == fieldAfter:
		from, _ := n.kids[0].dates.seconds(p.now)
		p.within(math.MinInt64, from)
	case n.op == opSize:
		if log2 := bits.Len64(uint64(max(n.size.over, 0))) - 1; log2 >= firstSizeTag {
			*wanted = append(*wanted, phrase(sizeTag(log2)))
		}
		p.condition(n)
	case n.op == opFolder && len(n.folders) == 0:
		p.alwaysEmpty = true
	case n.op == opFolder, n.op == opFlag:
		p.condition(n)
		return p.from(n)
	default:
		p.condition(n)
	}
	return nil
}

// within narrows the plan to dates from (in) to (not in), in unix seconds.
// A document's number is its date or up to spill more, so that the range of
// numbers is a little too wide at its end; a condition takes care of that.
func (p *planner) within(from, to int64) {
	p.first = max(p.first, from)
	if to == math.MaxInt64 {
		if p.spill > 0 && from > 0 {
			p.conditions = append(p.conditions, "(d.doc >= ? OR d.row >> 24 >= ?)")
			p.args = append(p.args, from+p.spill, from)
		}
		return
	}
	p.end = min(p.end, to+p.spill)
	if p.spill > 0 {
		p.conditions = append(p.conditions, "(d.doc BETWEEN ? AND ? OR d.row >> 24 BETWEEN ? AND ?)")
		p.args = append(p.args, max(from, 0)+p.spill, to-1, from, to-1)
	}
}

func (p *planner) condition(n *node) { p.conditions = append(p.conditions, p.sql(n)) }

// sql is the condition of a part that mixes words with dates or sizes.
func (p *planner) sql(n *node) string {
	if n.indexed() {
		// The plus keeps the engine from starting with this part.
		p.args = append(p.args, p.account+" AND "+p.expression(n))
		return "+d.doc IN (SELECT rowid FROM search_text WHERE search_text MATCH ?)"
	}
	switch n.op {
	case opDate:
		from, to := n.dates.seconds(p.now)
		p.args = append(p.args, from, to)
		return "(d.row >> 24 >= ? AND d.row >> 24 < ?)"
	case opSize:
		p.args = append(p.args, n.size.over, n.size.under)
		return "(d.size > ? AND d.size < ?)"
	case opFolder:
		p.args = append(p.args, n.folders...)
		return "EXISTS (SELECT 1 FROM mail_place AS p WHERE p." + n.within() + " AND p.row = d.row)"
	case opFlag:
		p.args = append(p.args, p.id)
		return "EXISTS (SELECT 1 FROM mail_place AS p WHERE p.account = ? AND p.row = d.row AND " + flagTests[n.flag] + ")"
	case opNot:
		return "NOT " + p.sql(n.kids[0])
	}
	operator := " AND "
	if n.op == opOr {
		operator = " OR "
	}
	parts := make([]string, len(n.kids))
	for i, kid := range n.kids {
		parts[i] = p.sql(kid)
	}
	return "(" + strings.Join(parts, operator) + ")"
}

// expression is a part of a query in the index's own language. It holds terms
// of the analyser and tags only, each quoted.
func (p *planner) expression(n *node) string {
	switch n.op {
	case opWords:
		return fieldFilters[n.field] + alternatives(n.needles)
	case opAttachment:
		return phrase(attachmentTag)
	case opNot: // The index only knows "this but not that".
		return "(" + p.account + " NOT " + p.expression(n.kids[0]) + ")"
	}
	// The deepest part first: the index's parser has a stack of a hundred
	// symbols, and what it has read of a level must wait there.
	kids := slices.Clone(n.kids)
	slices.SortStableFunc(kids, func(a, b *node) int { return cmp.Compare(b.depth(), a.depth()) })
	operator := " AND "
	if n.op == opOr {
		operator = " OR "
	}
	parts := make([]string, len(kids))
	for i, kid := range kids {
		parts[i] = p.expression(kid)
	}
	return "(" + strings.Join(parts, operator) + ")"
}

// fieldFilters restrict words to columns. Words for any field need none, since
// no text gives a term that looks like a tag.
var fieldFilters = map[field]string{
	fieldFrom:     "sender : ",
	fieldTo:       "{rcpt cc} : ",
	fieldCc:       "cc : ",
	fieldSubject:  "subject : ",
	fieldFilename: "filename : ",
	fieldBody:     "body : ",
}

func alternatives(needles []needle) string {
	parts := make([]string, len(needles))
	for i, n := range needles {
		parts[i] = phrase(strings.Join(n.terms, " "))
		if n.prefix {
			parts[i] += " *"
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// phrase quotes terms for the index. Terms have no quotation marks.
func phrase(terms string) string { return `"` + terms + `"` }
