package search

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"sijill/internal/db"
	"sijill/internal/text"
)

// squad is the form of the questions in the shared test data.
type squad struct {
	Data []struct {
		Paragraphs []struct {
			Context string
			QAs     []struct{ Question string } `json:"qas"`
		}
	}
}

// leastMRR is what the analyser must reach on Arabic questions: 0.641 is what
// words give as they are typed, 0.719 with spellings folded.
const leastMRR = 0.76

// An Arabic question must find its paragraph: the mean reciprocal rank among
// the first ten, all words wanted first, then any.
func TestArabicRelevance(t *testing.T) {
	var set squad
	if err := json.Unmarshal(corpus(t, "arcd.json.zst", 16<<20), &set); err != nil {
		t.Fatal(err)
	}
	d := openDB(t)
	a := text.New()
	var questions []string
	var answers []int64
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		var doc int64
		for _, article := range set.Data {
			for _, p := range article.Paragraphs {
				doc++
				if _, err := tx.Exec("INSERT INTO search_text(rowid, body) VALUES(?,?)", doc, a.Terms(p.Context)); err != nil {
					return err
				}
				for _, q := range p.QAs {
					questions, answers = append(questions, q.Question), append(answers, doc)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	err = d.Read(t.Context(), func(tx *db.Tx) error {
		for i, q := range questions {
			rank, err := place(tx, a.Terms(q), answers[i])
			if err != nil {
				return err
			}
			if rank > 0 {
				sum += 1 / float64(rank)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mrr := sum / float64(len(questions))
	t.Logf("%d questions, MRR@10 %.3f", len(questions), mrr)
	if mrr < leastMRR {
		t.Errorf("MRR@10 is %.3f, want at least %.2f", mrr, leastMRR)
	}
}

var errFound = errors.New("found")

// place is the rank of doc among the ten best for terms, 0 if it isn't there.
func place(tx *db.Tx, terms string, doc int64) (rank int, err error) {
	seen := map[int64]bool{}
	for _, op := range []string{" AND ", " OR "} {
		match := `"` + strings.ReplaceAll(terms, " ", `"`+op+`"`) + `"`
		err := tx.Each("SELECT rowid FROM search_text WHERE search_text MATCH ? ORDER BY rank LIMIT 10", []any{match},
			func(r db.Row) error {
				var id int64
				if err := r.Scan(&id); err != nil {
					return err
				}
				if !seen[id] && len(seen) < 10 {
					seen[id] = true
					if id == doc {
						rank = len(seen)
						return errFound
					}
				}
				return nil
			})
		if errors.Is(err, errFound) {
			return rank, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}
