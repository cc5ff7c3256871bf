package sijill

// Class tells whose a message is.
type Class string

// The classes. Office mail is on record for all time; personal mail belongs to
// its owner, who alone can read it and may destroy it, though not in secret.
const (
	Office   Class = "office"
	Personal Class = "personal"
)
