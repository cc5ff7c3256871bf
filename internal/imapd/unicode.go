package imapd

import (
	"bytes"

	"github.com/emersion/go-imap/v2"
)

// Once a client has enabled UTF8=ACCEPT or IMAP4rev2, names of folders are UTF-8
// and "&" in them is itself (RFC 6855, section 3; RFC 9051, section 5.1). The
// library reads and writes "&-" for it all the same, as modified UTF-7 has it: so
// it is given that, and its clients aren't.

// unicodeNames tells whether the client has enabled such names.
func (g *guard) unicodeNames() bool {
	if g.lib == nil {
		return false
	}
	caps := g.lib.EnabledCaps()
	return caps.Has(imap.CapUTF8Accept) || caps.Has(imap.CapIMAP4rev2)
}

// naming are the commands in whose arguments an "&" is of a folder's name.
var naming = map[string]bool{
	"SELECT": true, "EXAMINE": true, "CREATE": true, "DELETE": true, "RENAME": true, "SUBSCRIBE": true, "UNSUBSCRIBE": true,
	"LIST": true, "LSUB": true, "STATUS": true, "COPY": true, "UID COPY": true, "MOVE": true, "UID MOVE": true, "APPEND": true,
}

// encodeNames writes the names in a command as the library reads them. In APPEND
// only the first argument is one: keywords, which may have an "&" too, follow.
func (g *guard) encodeNames(cmd []byte, args int) []byte {
	name := g.current()
	if !naming[name] || bytes.IndexByte(cmd[args:], '&') < 0 || !g.unicodeNames() {
		return cmd
	}
	end := len(cmd)
	if name == "APPEND" {
		end = args + len(firstWord(cmd[args:]))
	}
	out := append(bytes.Clone(cmd[:args]), bytes.ReplaceAll(cmd[args:end], []byte("&"), []byte("&-"))...)
	return append(out, cmd[end:]...)
}

// decodeNames writes the name in a response as the client reads it. The longest
// name fits many times into what the library writes at once. Called with mu held.
func (g *guard) decodeNames(p []byte) []byte {
	for _, start := range []string{"* LIST ", "* LSUB ", "* STATUS "} {
		if bytes.HasPrefix(p, []byte(start)) && bytes.Contains(p, []byte("&-")) && g.unicodeNames() {
			return bytes.ReplaceAll(p, []byte("&-"), []byte("&"))
		}
	}
	return p
}
