package intake

import (
	"encoding/base64"
	"path"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// suffixes that say how a file is packed or what it is, and are no part of a
// folder's name. The outermost come first.
var suffixes = [][]string{
	{".gz", ".zst", ".tgz", ".tzst"},
	{".mbox", ".mbx", ".zip", ".tar", ".eml"},
}

// folderName makes a folder's name of a file's.
func folderName(base string) string {
	name := base
	for _, group := range suffixes {
		for _, s := range group {
			if len(name) > len(s) && strings.EqualFold(name[len(name)-len(s):], s) {
				name = name[:len(name)-len(s)]
				break
			}
		}
	}
	return component(name)
}

// component makes s fit to be one level of a folder's name.
func component(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "_"))
	s = strings.TrimSpace(s)
	if s == "" || s == "." || s == ".." {
		return "_"
	}
	return s
}

// subfolder is the folder for a directory within the one for folder. A name
// with a leading dot is Maildir++'s: levels separated by dots, in modified
// UTF-7. Thunderbird keeps the folders below Name in Name.sbd.
func subfolder(folder, dir string) string {
	if len(dir) > 1 && dir[0] == '.' && dir != ".." {
		for level := range strings.SplitSeq(dir[1:], ".") {
			folder = path.Join(folder, component(decodeUTF7(level)))
		}
		return folder
	}
	dir = strings.TrimSuffix(dir, ".sbd")
	return path.Join(folder, folderName(dir))
}

// isNamed says whether a file's name, its packing left out, has the suffix.
func isNamed(name, suffix string) bool {
	name = strings.ToLower(path.Base(name))
	for _, s := range suffixes[0] {
		name = strings.TrimSuffix(name, s)
	}
	return strings.HasSuffix(name, suffix)
}

// printable is a path for reports and envelopes, which are JSON and so UTF-8.
func printable(p string) string { return strings.ToValidUTF8(p, "�") }

// isSeen reads a Maildir file name's flags: ":2," and letters, where S is seen.
// On file systems that forbid the colon, ";" or "!" stands for it.
func isSeen(name string) bool {
	i := strings.LastIndex(name, "2,")
	return i > 0 && strings.ContainsRune(":;!", rune(name[i-1])) && strings.Contains(name[i:], "S")
}

// utf7 is the base64 of modified UTF-7 (RFC 3501, section 5.1.3).
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// decodeUTF7 decodes a folder's name. What is no modified UTF-7 stays as it is:
// some programs write UTF-8.
func decodeUTF7(s string) string {
	var b strings.Builder
	rest := s
	for {
		before, after, found := strings.Cut(rest, "&")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		code, next, ended := strings.Cut(after, "-")
		if !ended {
			return s
		}
		if rest = next; code == "" {
			b.WriteByte('&')
			continue
		}
		text, ok := decodeUTF16(code)
		if !ok {
			return s
		}
		b.WriteString(text)
	}
}

func decodeUTF16(code string) (string, bool) {
	raw, err := utf7.DecodeString(code)
	if err != nil || len(raw) == 0 || len(raw)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	text := string(utf16.Decode(units))
	return text, !strings.ContainsRune(text, utf8.RuneError)
}
