package message

import (
	"bytes"
	"slices"
	"strings"
)

// RemoveFields returns the message without the header fields of those names,
// every other byte as it was. Where there are none it is raw itself.
func RemoveFields(raw []byte, names ...string) []byte {
	head := raw
	if i := bytes.Index(raw, []byte("\n\r\n")); i >= 0 {
		head = raw[:i+3]
	}
	named := func(f *Field) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, f.Name) })
	}
	var out []byte
	kept := 0
	for _, f := range Parse(head).Header.Fields {
		if named(&f) {
			out = append(out, raw[kept:f.Start]...)
			kept = f.End
		}
	}
	if kept == 0 {
		return raw
	}
	return append(out, raw[kept:]...)
}
