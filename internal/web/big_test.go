package web

import (
	"strings"
	"testing"
	"time"
)

func TestBigX(t *testing.T) {
	c := newCleaner()
	for name, s := range map[string]string{
		"style":   `<p style="` + strings.Repeat("color:red;", 100000) + `">`,
		"style2":  `<p style="` + strings.Repeat("a", 1000000) + `">`,
		"style3":  `<p style="` + strings.Repeat("background:url(x", 60000) + `">`,
		"style4":  `<p style="` + strings.Repeat("/*", 500000) + `">`,
		"style5":  `<p style="` + strings.Repeat("{", 500000) + `">`,
		"style6":  `<p style="font-family:` + strings.Repeat(`\75`, 300000) + `">`,
		"lt":      strings.Repeat("<", 1000000),
		"div":     strings.Repeat("<div>", 200000),
		"divs":    strings.Repeat(`<div style="color:red">x</div>`, 35000),
		"attrs":   "<p " + strings.Repeat(`title="x" `, 100000) + ">",
		"attrs2":  "<p " + strings.Repeat(`style="color:red" `, 60000) + ">",
		"comment": strings.Repeat("<!--", 250000),
		"script":  strings.Repeat("<script>", 125000),
		"amp":     strings.Repeat("&", 1000000),
		"href":    `<a href="http://` + strings.Repeat("a", 1000000) + `">`,
		"img":     strings.Repeat(`<img src="http://e/x">`, 45000),
		"a":       strings.Repeat(`<a href="http://e/x">`, 45000),
	} {
		b := time.Now()
		c.clean(s, false, nil)
		t.Log(name, len(s), time.Since(b).Round(time.Millisecond))
	}
}
