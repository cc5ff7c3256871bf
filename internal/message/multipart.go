package message

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// node is a part to be written: a multipart with children or a leaf.
type node struct {
	header   []string // lines but those of a multipart's Content-Type
	subtype  string   // of a multipart
	params   []Param  // of a multipart
	children []*node
	body     func(w *bytes.Buffer) error
}

// body writes the rest of the message.
func (c *composer) body() {
	root, err := c.draft.tree()
	if err == nil {
		err = root.write(&c.out)
	}
	if err != nil {
		c.fail(err)
	}
}

// tree arranges the parts: alternatives of the text within, what belongs to the
// HTML beside it, other files around (RFC 2046 section 5.1, RFC 2387).
func (d *Draft) tree() (*node, error) {
	var related, files []*node
	for i := range d.Files {
		f := &d.Files[i]
		n, err := f.node()
		if err != nil {
			return nil, err
		}
		if f.Inline && f.ContentID != "" && d.HTML != "" {
			related = append(related, n)
		} else {
			files = append(files, n)
		}
	}
	root := d.reading(related)
	if d.Report != nil {
		return d.Report.tree(root, files), nil
	}
	if len(files) > 0 {
		root = &node{subtype: "mixed", children: append([]*node{root}, files...)}
	}
	return root, nil
}

// reading is the part that people read.
func (d *Draft) reading(related []*node) *node {
	if d.HTML == "" {
		return d.plain()
	}
	html := textNode("html", false, validText(d.HTML))
	if len(related) > 0 {
		html = &node{
			subtype: "related", params: []Param{{"type", "text/html"}},
			children: append([]*node{html}, related...),
		}
	}
	if d.Text == "" {
		return html
	}
	return &node{subtype: "alternative", children: []*node{d.plain(), html}}
}

func (d *Draft) plain() *node {
	if d.Flowed {
		return textNode("plain", true, validText(flow(d.Text)))
	}
	return textNode("plain", false, validText(d.Text))
}

// textNode is a text part in the transfer encoding that suits it.
func textNode(subtype string, flowed bool, text []byte) *node {
	w := fold{}
	w.add("Content-Type: text/" + subtype)
	w.param("charset", "utf-8")
	if flowed {
		w.param("format", "flowed")
	}
	encoding, body := transferText(text, flowed)
	return &node{
		header: []string{w.String(), "Content-Transfer-Encoding: " + encoding},
		body:   func(w *bytes.Buffer) error { _, err := w.Write(body); return err },
	}
}

// node reads a file and makes a part of it.
func (f *File) node() (*node, error) {
	data, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("reading an attachment: %w", err)
	}
	kind := fileType(f.Type)
	if kind == "message/rfc822" {
		n := messageNode(data, "rfc822", "global")
		n.header = append(n.header, f.disposition())
		return n, nil
	}
	w := fold{}
	w.add("Content-Type: " + kind)
	if name := fileName(f.Name); name != "" {
		w.param("name", name)
	}
	n := &node{
		header: []string{w.String(), "Content-Transfer-Encoding: base64", f.disposition()},
		body:   func(w *bytes.Buffer) error { writeBase64(w, data); return nil },
	}
	if goodID(f.ContentID) {
		n.header = append(n.header, "Content-ID: <"+f.ContentID+">")
	}
	return n, nil
}

func (f *File) read() ([]byte, error) {
	if f.Open == nil {
		return f.Data, nil
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (f *File) disposition() string {
	w := fold{}
	w.add("Content-Disposition: attachment")
	if f.Inline {
		w = fold{}
		w.add("Content-Disposition: inline")
	}
	if name := fileName(f.Name); name != "" {
		w.param("filename", name)
	}
	return w.String()
}

// fileName takes folders off a name, as Part.Filename does when it reads it.
func fileName(name string) string {
	name = strings.TrimSpace(headerText(name))
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if name == "." || name == ".." || name == "/" {
		return ""
	}
	return name
}

// fileType returns a media type that can be written. A multipart, or text that
// readers would take for the message's own, is not a type of a file.
func fileType(t string) string {
	t = strings.ToLower(t)
	kind, sub, ok := strings.Cut(t, "/")
	if !ok || len(t) > 70 || kind == "" || sub == "" || strings.Trim(kind+sub, tokens) != "" ||
		kind == "multipart" || kind == "message" && sub != "rfc822" {
		return "application/octet-stream"
	}
	return t
}

// messageNode is a message within. One that is not ASCII of good lines may be
// encoded only under the name of RFC 6532 (RFC 2046 section 5.2.1, RFC 6532
// section 3.7).
func messageNode(raw []byte, plain, global string) *node {
	// Without the end of its header, a boundary's line end would become that.
	whole := plain != "rfc822" || bytes.Contains(raw, []byte("\r\n\r\n"))
	if whole && mailSafe(raw) {
		return &node{
			header: []string{"Content-Type: message/" + plain, "Content-Transfer-Encoding: 7bit"},
			body:   func(w *bytes.Buffer) error { _, err := w.Write(raw); return err },
		}
	}
	return &node{
		header: []string{"Content-Type: message/" + global, "Content-Transfer-Encoding: base64"},
		body:   func(w *bytes.Buffer) error { writeBase64(w, raw); return nil },
	}
}

// tree arranges a report (RFC 6522 section 3).
func (r *Report) tree(text *node, files []*node) *node {
	var status bytes.Buffer
	for i, group := range r.Groups {
		if i > 0 {
			status.WriteString("\r\n")
		}
		for _, f := range group {
			status.WriteString(f.Name + ": " + headerText(f.Value) + "\r\n")
		}
	}
	global := "global-" + r.Kind
	root := &node{
		subtype: "report", params: []Param{{"report-type", r.Kind}},
		children: []*node{text, messageNode(status.Bytes(), r.Kind, global)},
	}
	switch {
	case len(r.Message) == 0:
	case r.HeaderOnly:
		root.children = append(root.children, headersNode(r.Message))
	default:
		root.children = append(root.children, messageNode(r.Message, "rfc822", "global"))
	}
	if len(files) == 0 {
		return root
	}
	return &node{subtype: "mixed", children: append([]*node{root}, files...)}
}

// headersNode is the header of a message within (RFC 6522 section 4).
func headersNode(raw []byte) *node {
	if i := bytes.Index(raw, []byte("\n\r\n")); i >= 0 {
		raw = raw[:i+1]
	}
	if !mailSafe(raw) {
		return messageNode(raw, "global-headers", "global-headers")
	}
	n := messageNode(raw, "", "")
	n.header[0] = "Content-Type: text/rfc822-headers"
	return n
}

// write writes a part, its header first.
func (n *node) write(w *bytes.Buffer) error {
	if n.children == nil {
		for _, line := range n.header {
			w.WriteString(line + "\r\n")
		}
		w.WriteString("\r\n")
		return n.body(w)
	}
	boundary := "=_" + rand.Text() // neither base64 nor quoted-printable can have it
	f := fold{}
	f.add("Content-Type: multipart/" + n.subtype)
	for _, p := range slices.Concat(n.params, []Param{{"boundary", boundary}}) {
		f.add(";")
		f.word(p.Name + "=" + quoteText(p.Value))
	}
	w.WriteString(f.String() + "\r\n\r\n")
	for _, child := range n.children {
		w.WriteString("--" + boundary + "\r\n")
		if err := child.write(w); err != nil {
			return err
		}
		w.WriteString("\r\n")
	}
	w.WriteString("--" + boundary + "--\r\n")
	return nil
}

// writeBase64 writes lines of 76 characters (RFC 2045 section 6.8).
func writeBase64(w *bytes.Buffer, data []byte) {
	const bytesPerLine = 57
	w.Grow(len(data)/bytesPerLine*78 + 80)
	line := make([]byte, 76)
	for len(data) > 0 {
		n := min(len(data), bytesPerLine)
		base64.StdEncoding.Encode(line, data[:n])
		w.Write(line[:(n+2)/3*4])
		w.WriteString("\r\n")
		data = data[n:]
	}
}
