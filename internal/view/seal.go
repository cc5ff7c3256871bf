package view

import (
	"fmt"
	"html/template"
	"strings"
)

// seal draws the rosette of a commitment: fine lines such as those on old
// seals and banknotes, whose number and sweep follow the commitment's bytes.
// Two messages hardly ever have the same one. It is an ornament and proves
// nothing; the verification does. verify.js draws the same one from what it
// has recomputed.
func seal(commitment []byte) template.HTML {
	c := make([]byte, 8)
	copy(c, commitment)
	var b strings.Builder
	for ring := range 2 {
		k := c[ring*4 : ring*4+4]
		petals := 11 + int(k[0]%12)
		wide := 4 + float64(k[1]%48)/8
		long := 10 + float64(k[2]%48)/8
		out := 26 - 12*float64(ring)
		turn := float64(k[3]) / 256
		for i := range petals {
			angle := 360 * (float64(i) + turn) / float64(petals)
			fmt.Fprintf(&b, `<ellipse cx="50" cy="%.1f" rx="%.1f" ry="%.1f" transform="rotate(%.1f 50 50)"/>`,
				50-out, wide, long, angle)
		}
	}
	return template.HTML(b.String())
}
