package junk

import (
	"path"
	"strings"

	"sijill/internal/message"
	"sijill/internal/text"
)

const (
	maxText  = 64 << 10 // bytes of text that are looked at
	maxHTML  = 256 << 10
	maxWords = 2000 // told apart in one message
	maxHosts = 100
)

// collector gathers the words of one message, each once.
type collector struct {
	analyzer *text.Analyzer
	seen     map[string]bool
	tokens   []text.Token
}

// words returns what a message is known by: the words of its text and, marked
// by where they stand, of its subject and author, the hosts it links to, and
// what its parts are.
func words(a *text.Analyzer, raw []byte) map[string]bool {
	c := &collector{analyzer: a, seen: make(map[string]bool, 256)}
	m := message.Parse(raw)
	c.terms("subject:", m.Subject(), 1000)
	for _, from := range m.From() {
		c.terms("name:", from.Name, 200)
		c.address("from:", from.Addr)
	}
	for _, to := range m.ReplyTo() {
		c.address("reply:", to.Addr)
	}
	for _, to := range m.To()[:min(len(m.To()), 10)] {
		c.address("to:", to.Addr)
	}
	c.add("id:" + afterAt(m.MessageID()))
	c.style(m.Subject())
	for _, name := range []string{"X-Mailer", "User-Agent"} {
		c.terms("mailer:", m.Header.Get(name), 200)
	}
	for _, name := range []string{"List-Id", "List-Unsubscribe", "Precedence", "Auto-Submitted", "In-Reply-To", "Reply-To"} {
		if m.Header.Lookup(name) != nil {
			c.add("has:" + name)
		}
	}
	c.parts(m.Root, 0)
	for _, file := range m.Attachments() {
		c.add("file:" + file.Type)
		c.add("file:" + strings.ToLower(path.Ext(file.Name)))
	}
	html, _ := m.HTML()
	body := m.Text()
	c.hosts(html[:min(len(html), maxHTML)])
	c.hosts(body[:min(len(body), maxText)])
	c.terms("", body, maxText)
	return c.seen
}

func (c *collector) add(word string) {
	if len(c.seen) < maxWords {
		c.seen[word] = true
	}
}

// terms adds the terms of s, looking at its first bytes.
func (c *collector) terms(mark, s string, most int) {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	c.tokens = c.analyzer.Tokens(c.tokens[:0], s)
	for _, t := range c.tokens {
		if len(t.Term) > 1 {
			c.add(mark + t.Term)
		}
	}
}

// address adds an address and its domain.
func (c *collector) address(mark, addr string) {
	addr = strings.ToLower(addr)
	if len(addr) > 200 {
		return
	}
	c.add(mark + addr)
	if at := strings.LastIndexByte(addr, '@'); at >= 0 {
		c.add(mark + addr[at:])
	}
}

// style adds how a subject is written.
func (c *collector) style(subject string) {
	for _, mark := range []string{"!", "$", "%", "?", "  "} {
		if strings.Contains(subject, mark) {
			c.add("style:" + mark)
		}
	}
	if len(subject) > 5 && strings.ToUpper(subject) == subject && strings.ToLower(subject) != subject {
		c.add("style:capitals")
	}
}

func afterAt(s string) string {
	s = strings.ToLower(s)
	if len(s) > 200 {
		return ""
	}
	return s[strings.LastIndexByte(s, '@')+1:]
}

// parts adds the types and charsets of the outer parts.
func (c *collector) parts(p *message.Part, depth int) {
	if depth > 3 {
		return
	}
	c.add("type:" + p.MediaType())
	if charset := p.Charset(); charset != "" && len(charset) < 40 {
		c.add("charset:" + strings.ToLower(charset))
	}
	for _, child := range p.Children[:min(len(p.Children), 20)] {
		c.parts(child, depth+1)
	}
}

// hosts adds the hosts of links, and what is strange about a link.
func (c *collector) hosts(s string) {
	for range maxHosts {
		i := strings.Index(s, "://")
		if i < 0 {
			return
		}
		s = s[i+3:]
		end := strings.IndexAny(s, "/\"'<> \t\r\n?#)")
		if end < 0 {
			end = len(s)
		}
		host := strings.ToLower(s[:min(end, 200)])
		if at := strings.LastIndexByte(host, '@'); at >= 0 {
			c.add("link:@")
			host = host[at+1:]
		}
		host, port, _ := strings.Cut(host, ":")
		if port != "" {
			c.add("link:port")
		}
		if host != "" && strings.Trim(host, "0123456789.") == "" {
			c.add("link:number")
		}
		c.add("link:" + host)
		if labels := strings.Split(host, "."); len(labels) > 2 {
			c.add("link:" + strings.Join(labels[len(labels)-2:], "."))
		}
	}
}
