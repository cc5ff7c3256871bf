package imapd

import (
	"bytes"
	"strconv"
	"strings"
)

// arguments is how many values follow a search key.
var arguments = map[string]int{
	"BCC": 1, "BODY": 1, "CC": 1, "FROM": 1, "SUBJECT": 1, "TEXT": 1, "TO": 1,
	"KEYWORD": 1, "UNKEYWORD": 1, "UID": 1, "LARGER": 1, "SMALLER": 1,
	"BEFORE": 1, "ON": 1, "SINCE": 1, "SENTBEFORE": 1, "SENTON": 1, "SENTSINCE": 1,
	"CHARSET": 1, "HEADER": 2,
}

// withoutSmaller writes SMALLER n as NOT LARGER n-1: the library forgets a
// SMALLER when another key of a date or size follows it.
func withoutSmaller(args []byte) []byte {
	if !bytes.Contains(bytes.ToUpper(args), []byte("SMALLER")) {
		return args
	}
	var out []byte
	skip := 0
	for len(args) > 0 {
		word := firstWord(args)
		args = args[len(word):]
		switch key := strings.ToUpper(string(word)); {
		case key == " " || key == "(" || key == ")":
		case skip > 0:
			skip--
		case key == "SMALLER":
			size := firstWord(bytes.TrimPrefix(args, []byte(" ")))
			if n, err := strconv.ParseInt(string(size), 10, 64); err == nil && n > 0 && len(args) > len(size) {
				out = append(out, "NOT LARGER "...)
				out = strconv.AppendInt(out, n-1, 10)
				args = args[1+len(size):]
				continue
			}
		default:
			skip = arguments[key]
		}
		out = append(out, word...)
	}
	return out
}

// firstWord is a space, a parenthesis, a quoted string or a run of other octets.
func firstWord(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case ' ', '(', ')':
		return b[:1]
	case '"':
		for i := 1; i < len(b); i++ {
			switch b[i] {
			case '\\':
				i++
			case '"':
				return b[:i+1]
			}
		}
		return b
	}
	if i := bytes.IndexAny(b, ` ()"`); i > 0 {
		return b[:i]
	}
	return b
}
