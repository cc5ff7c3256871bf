package search

import (
	"strings"
	"testing"
)

// shown writes spans with their hits in brackets.
func shown(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		if s.Hit {
			b.WriteString("[" + s.Text + "]")
		} else {
			b.WriteString(s.Text)
		}
	}
	return b.String()
}

func TestHighlight(t *testing.T) {
	for _, c := range []struct{ query, in, want string }{
		{"cost", "Costs, costly?", "[Costs], [costly]?"},
		{"meeting", "two Meetings", "two [Meetings]"},
		{`"new york"`, "New York is new", "[New York] is new"},
		{"هيلاري", "رسالة هيلارى وهيلاري إلى Sara", "رسالة [هيلارى] [وهيلاري] إلى Sara"},
		{"كتاب budget", "والكتابُ the budget", "[والكتابُ] the [budget]"},
		{"john.doe@enron.example", "<John.Doe@enron.example>", "<[John.Doe@enron.example]>"},
		{"doe", "john.doe@enron.example", "john.[doe]@enron.example"},
		{"bud*", "budget, BUDDY", "[budget], [BUDDY]"},
		{"a -b from:c subject:d", "a b c d", "[a] b c [d]"},
		{"x", "", ""},
	} {
		q, err := Parse(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(q.Highlight(c.in)); got != c.want {
			t.Errorf("%s in %q:\n got %s\nwant %s", c.query, c.in, got, c.want)
		}
	}
}

func TestSnippets(t *testing.T) {
	o := newOffice(t)
	filler := strings.Repeat("nothing to see in this line\r\n", 20)
	o.file(
		letter{entry: 0, date: "2015-03-10", from: "zaid@diwan.example", subject: "one",
			txt: "treaty alone\r\n" + filler + "here the treaty and\r\n\r\n  the border meet\r\n" + filler},
		letter{entry: 1, date: "2015-03-09", from: "zaid@diwan.example", subject: "two",
			txt: strings.Repeat("كلام لا يهم أحدا ", 30) + "وقع الوزير معاهدة treaty مع الجار border ثم عاد " + strings.Repeat("كلام آخر ", 50)},
	)
	r, err := o.Query(t.Context(), 1, "treaty border", Options{Snippets: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := shown(r.Hits[0].Snippet), "… nothing to see in this line here the [treaty] and the [border] meet nothing"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q", got)
	}
	if got, want := shown(r.Hits[1].Snippet), "وقع الوزير معاهدة [treaty] مع الجار [border] ثم عاد"; !strings.Contains(got, want) {
		t.Errorf("got %q", got)
	}
	r, err = o.Query(t.Context(), 1, "from:zaid", Options{Snippets: true, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(r.Hits[0].Snippet); !strings.HasPrefix(got, "treaty alone nothing to see") {
		t.Errorf("a hit in a field shows %q", got)
	}
	delete(o.items, 0) // It can't be opened any more.
	r, err = o.Query(t.Context(), 1, "treaty", Options{Snippets: true, Limit: 1})
	if err != nil || !strings.HasPrefix(shown(r.Hits[0].Snippet), "[treaty] alone") {
		t.Errorf("%v %v", r, err)
	}
}
