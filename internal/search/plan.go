package search

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
)

// plan is a query made ready for the engine: one full-text expression, which
// asks for the account's mail only; a range of document numbers; and conditions
// on what the index can't express, tested on what the others leave.
type plan struct {
	match       string
	first, end  int64 // Document numbers: first is in the range, end is not.
	conditions  []string
	args        []any
	ranked      bool // The query has words to rank by.
	alwaysEmpty bool // The ranges exclude each other.
}

// planner turns a query into a plan.
type planner struct {
	account string // The account's tag, quoted.
	alone   bool   // All documents are the account's.
	folders []mailbox.Folder
	query   string
	now     time.Time
	spill   int64 // How far a document's number may lie after its date.
	plan
}

// newPlanner reads what a plan depends on, in the transaction that the plan
// will run in: it may leave the account out only as long as it is alone.
func newPlanner(tx *db.Tx, account int64, folders []mailbox.Folder, now time.Time) (*planner, error) {
	p := &planner{account: phrase(accountTag(account)), folders: folders, now: now}
	const q = `SELECT seconds, (SELECT count(*) FROM search_holder WHERE account <> ?) = 0 FROM search_spill`
	if err := tx.One(q, []any{account}, &p.spill, &p.alone); err != nil {
		return nil, fmt.Errorf("planning: %w", err)
	}
	return p, nil
}

// make makes the plan of q. Its error may be a *QueryError.
func (p *planner) make(q *Query) (*plan, error) {
	p.query, p.end = q.text, math.MaxInt64
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
			p.narrow(n, &wanted)
		}
	}
	// Every document has a holder, so that the account of an office of one
	// needn't be asked for: that makes most queries twice as quick.
	if !p.alone || len(wanted) == 0 {
		wanted = append([]string{p.account}, wanted...)
	}
	p.match = strings.Join(wanted, " AND ")
	if unwanted != "" {
		p.match = "(" + p.match + ")" + unwanted
	}
	p.alwaysEmpty = p.first >= p.end
	return &p.plan, nil
}

// resolve finds the folders that a query names.
func (n *node) resolve(p *planner) error {
	for _, kid := range n.kids {
		if err := kid.resolve(p); err != nil {
			return err
		}
	}
	if n.op != opFolder || p.folder(n.name) != 0 {
		return nil
	}
	return &QueryError{Offset: n.offset, Length: n.length, Code: CodeFolder, Arg: p.query[n.offset : n.offset+n.length]}
}

// folder is the id of the folder that name means, 0 if none: the name as it
// is, else the inbox in either language, else a name spelt a little otherwise.
func (p *planner) folder(name string) int64 {
	for _, f := range p.folders {
		if f.Name == name {
			return f.ID
		}
	}
	folded := words().Terms(name)
	inbox := folded == words().Terms("inbox") || folded == words().Terms("الوارد")
	for _, f := range p.folders {
		if inbox && f.Role == mailbox.RoleInbox || strings.EqualFold(f.Name, name) || folded != "" && words().Terms(f.Name) == folded {
			return f.ID
		}
	}
	return 0
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
	return n.op != opDate && n.op != opSize
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
func (p *planner) narrow(n *node, wanted *[]string) {
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
	default:
		p.condition(n)
	}
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
	case opFolder:
		return phrase(folderTag(p.folder(n.name)))
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
