package sijill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// CapturedFields are the fields of a captured entry.
type CapturedFields struct {
	Door   string `json:"door"`             // where it came in: "smtp", "lmtp", "import"
	Source string `json:"source,omitempty"` // pseudonym of the imported source
	Class  Class  `json:"class,omitempty"`  // Personal; office mail leaves it out
}

// ImportedFields are the fields of an imported entry: the account of one source
// of older mail. What was seen was captured, was there already or was refused.
type ImportedFields struct {
	Seen     int64  `json:"seen"`
	Captured int64  `json:"captured"`
	Already  int64  `json:"already"`
	Refused  int64  `json:"refused"`
	Source   string `json:"source,omitempty"` // pseudonym of the source
	// Reasons counts the refused by reason, where the writer gives them.
	Reasons map[string]int64 `json:"reasons,omitempty"`
}

// Marshal returns the fields as canonical JSON. It wraps ErrEntry where a field
// isn't printable ASCII or the class is none.
func (f CapturedFields) Marshal() (json.RawMessage, error) {
	if !isPrintable(f.Door) || !isPrintable(f.Source) {
		return nil, fmt.Errorf("encode captured fields: %w", ErrEntry)
	}
	b := []byte{'{'}
	switch f.Class {
	case "", Office:
	case Personal:
		b = append(b, `"class":"personal",`...)
	default:
		return nil, fmt.Errorf("encode captured fields: class: %w", ErrEntry)
	}
	b = appendString(append(b, `"door":`...), f.Door)
	if f.Source != "" {
		b = appendString(append(b, `,"source":`...), f.Source)
	}
	return append(b, '}'), nil
}

// Check returns an error that wraps ErrEntry unless the counts add up: seen =
// captured + already + refused, and where reasons are given, refused = their
// sum.
func (f ImportedFields) Check() error {
	var reasons int64
	for _, n := range f.Reasons {
		if n < 0 || n > MaxInteger {
			return fmt.Errorf("imported reason: %w", ErrEntry)
		}
		reasons += n
	}
	for _, n := range []int64{f.Seen, f.Captured, f.Already, f.Refused} {
		if n < 0 || n > MaxInteger {
			return fmt.Errorf("imported count: %w", ErrEntry)
		}
	}
	if f.Seen != f.Captured+f.Already+f.Refused || len(f.Reasons) > 0 && reasons != f.Refused {
		return fmt.Errorf("imported counts don't add up: %w", ErrEntry)
	}
	return nil
}

// Marshal returns the fields as canonical JSON, or the error of Check.
func (f ImportedFields) Marshal() (json.RawMessage, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("encode imported fields: %w", err)
	}
	return MarshalFields(f)
}

// MarshalFields encodes v with encoding/json and returns it as the canonical
// object that Entry.Fields wants, or nil where the object is empty. It wraps
// ErrEntry where v isn't an object of printable ASCII strings, integers,
// booleans, lists and objects at most 8 levels deep.
func MarshalFields(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode fields: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("encode fields: %w", err)
	}
	if m, ok := tree.(map[string]any); ok && len(m) == 0 {
		return nil, nil
	}
	out, err := appendValue(nil, tree)
	if err == nil {
		err = checkObject(out)
	}
	if err != nil {
		return nil, fmt.Errorf("encode fields: %w: %w", err, ErrEntry)
	}
	return out, nil
}

// appendValue writes a decoded JSON value; what it can't write canonically,
// checkObject refuses afterwards.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendString(b, v), nil
	case json.Number:
		return append(b, v...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case []any:
		return appendList(b, v)
	case map[string]any:
		return appendObject(b, v)
	}
	return nil, errCanonical
}

func appendList(b []byte, list []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, m map[string]any) ([]byte, error) {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		var err error
		if b, err = appendValue(b, m[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// DecodeFields reads the entry's fields into v with encoding/json; members that
// v doesn't know are skipped. An entry without fields leaves v as it is.
func (e *Entry) DecodeFields(v any) error {
	if len(e.Fields) == 0 {
		return nil
	}
	if err := json.Unmarshal(e.Fields, v); err != nil {
		return fmt.Errorf("decode fields of %s entry: %w", e.Kind, err)
	}
	return nil
}
