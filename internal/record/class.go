package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"sijill"
)

// ErrClass says that a draft's fields name another class than the draft.
var ErrClass = errors.New("the fields of a draft say another class than the draft")

// personalMark is how canonical fields say that a message is personal. What
// merely contains it, in a string within, is told apart by reading the JSON.
var personalMark = []byte(`"class":"personal"`)

// classOf tells the class of an entry's message, as its fields say it.
func classOf(e *sijill.Entry) sijill.Class {
	if !bytes.Contains(e.Fields, personalMark) { // Of most entries: that is quick.
		return sijill.Office
	}
	var f struct {
		Class sijill.Class `json:"class"`
	}
	if json.Unmarshal(e.Fields, &f) != nil || f.Class != sijill.Personal {
		return sijill.Office
	}
	return sijill.Personal
}

// classed makes the fields of an entry say the class of what it seals: for ever,
// since its keys, which show it too, may be destroyed.
func classed(fields json.RawMessage, class sijill.Class, sealed bool) (json.RawMessage, error) {
	said := classOf(&sijill.Entry{Fields: fields})
	switch {
	case !sealed || said == class:
		return fields, nil
	case class == sijill.Office:
		return nil, ErrClass
	}
	all := map[string]any{}
	if len(fields) > 0 {
		d := json.NewDecoder(bytes.NewReader(fields))
		d.UseNumber()
		if err := d.Decode(&all); err != nil {
			return nil, fmt.Errorf("reading the fields of a draft: %w", err)
		}
	}
	if _, ok := all["class"]; ok {
		return nil, ErrClass
	}
	all["class"] = string(class)
	return sijill.MarshalFields(all)
}
