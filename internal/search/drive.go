package search

import (
	"fmt"
	"slices"
	"strings"

	"sijill/internal/db"
)

// Where a message lies and what it bears there is not in the index: it changes
// all the time. A query that asks for it walks over the index and asks for each
// document, or, where few messages lie there or there are no words, walks over
// those and asks the index.

// drive is a walk over places.
type drive struct {
	where  string // A condition on mail_place, as w, that an index answers.
	args   []any
	places int // How many there are; somePlaces+1 for more.
}

const (
	// fewPlaces is how many places are worth asking the index for each: asking
	// for one document costs as much as walking over some hundreds.
	fewPlaces = 20
	// somePlaces is how many are worth being gathered first, so that each
	// document that is walked over need only be looked for among them.
	somePlaces = 2500
)

// flagTests are conditions on mail_place, in the words of its partial indexes.
var flagTests = map[flag]string{
	flagUnread: "flags & 1 = 0", flagAnswered: "flags & 2 <> 0", flagFlagged: "flags & 4 <> 0", flagDraft: "flags & 16 <> 0",
}

// from takes a part that a plan may walk from: of several the one with the fewest
// places. The plan then needs no documents that are newer or older than all that
// lie there.
func (p *planner) from(n *node) error {
	d := &drive{where: "w." + n.within(), args: n.folders}
	if n.op == opFlag {
		d = &drive{where: "w.account = ? AND w." + flagTests[n.flag], args: []any{p.id}}
	}
	var oldest, newest *int64
	of := " FROM mail_place AS w WHERE " + d.where
	q := "SELECT (SELECT count(*) FROM (SELECT 1" + of + " LIMIT ?)), (SELECT min(w.row)" + of + "), (SELECT max(w.row)" + of + ")"
	args := slices.Concat(d.args, []any{somePlaces + 1}, d.args, d.args)
	if err := p.tx.One(q, args, &d.places, &oldest, &newest); err != nil {
		return fmt.Errorf("planning: %w", err)
	}
	if oldest == nil || newest == nil {
		p.alwaysEmpty = true
		return nil
	}
	p.first, p.end = max(p.first, dateOf(*oldest)), min(p.end, dateOf(*newest)+p.spill+1)
	if p.drive == nil || d.places < p.drive.places {
		p.drive = d
	}
	return nil
}

// driven tells whether the plan walks over places.
func (p *plan) driven() bool { return p.drive != nil && (p.drive.places <= fewPlaces || !p.worded) }

// gathered gives the conditions of the plan for a walk over the index, with one
// ahead of them that spares most documents the others.
func (p *plan) gathered() ([]string, []any) {
	if p.drive == nil || p.drive.places > somePlaces {
		return p.conditions, p.args
	}
	// The plus keeps the engine from asking the index for each of them.
	in := "+t.rowid IN (SELECT e.doc FROM mail_place AS w CROSS JOIN search_doc AS e ON e.row = w.row WHERE " + p.drive.where + ")"
	return slices.Concat([]string{in}, p.conditions), slices.Concat(p.drive.args, p.args)
}

// walkPlaces is walk for a plan that walks over places, from the row before down.
func (p *plan) walkPlaces(before int64) (string, []any) {
	conditions, args := p.conditions, p.args
	if p.worded {
		// The plus keeps the engine from starting with this part.
		conditions = append([]string{"EXISTS (SELECT 1 FROM search_text AS t WHERE t.search_text MATCH ? AND t.rowid = +d.doc)"}, conditions...)
		args = slices.Concat([]any{p.match}, args)
	} else {
		conditions = append([]string{"EXISTS (SELECT 1 FROM mail_holding AS g WHERE g.row = d.row AND g.account = ?)"}, conditions...)
		args = slices.Concat([]any{p.holder}, args)
	}
	args = slices.Concat(p.drive.args, []any{before, p.first, p.end}, args)
	return `WITH h AS MATERIALIZED (SELECT d.doc AS doc FROM mail_place AS w CROSS JOIN search_doc AS d ON d.row = w.row
		WHERE ` + p.drive.where + ` AND w.row < ? AND +d.doc >= ? AND +d.doc < ? AND ` + strings.Join(conditions, " AND ") +
		` GROUP BY w.row ORDER BY w.row DESC LIMIT ?) `, args
}

// before is the number of documents from which on those of earlier pages stand:
// they end with the message whose row is given. It may lie in another database.
func (p *plan) before(tx *db.Tx, row int64) (doc int64, err error) {
	err = tx.One("SELECT coalesce((SELECT doc FROM search_doc WHERE row = ?), -1)", []any{row}, &doc)
	if err != nil || doc >= 0 {
		return doc, err
	}
	const q = "SELECT coalesce(max(doc) + 1, 0) FROM search_doc WHERE row < ? AND row >= ?"
	err = tx.One(q, []any{row, row - (p.spill+1)<<24}, &doc)
	return max(doc, dateOf(row)), err
}
