package junk

import (
	"cmp"
	"math"
	"slices"
)

const (
	// A word is believed as if it had been seen in doubt messages before, half
	// of them junk (Robinson).
	doubt = 0.45
	// Words within weak of one half are left out, and of the others all but the
	// strongest strongest.
	weak      = 0.1
	strongest = 150
)

// combine returns how likely a message with these words is junk: near 0 for
// mail that is wanted, near 1 for junk, near one half where evidence is missing
// or speaks for both.
func combine(known []counts, total counts) float64 {
	var opinions []float64
	for _, c := range known {
		if f := opinion(c, total); math.Abs(f-0.5) > weak {
			opinions = append(opinions, f)
		}
	}
	slices.SortFunc(opinions, func(a, b float64) int { return cmp.Compare(math.Abs(b-0.5), math.Abs(a-0.5)) })
	opinions = opinions[:min(len(opinions), strongest)]
	if len(opinions) == 0 {
		return 0.5
	}
	var logSpam, logHam float64
	for _, f := range opinions {
		logSpam += math.Log(f)
		logHam += math.Log(1 - f)
	}
	spam := 1 - chance(-2*logHam, len(opinions))
	ham := 1 - chance(-2*logSpam, len(opinions))
	return (spam - ham + 1) / 2
}

// opinion is how likely a message with one word is junk.
func opinion(c, total counts) float64 {
	spam := float64(c.spam) / float64(max(total.spam, 1))
	ham := float64(c.ham) / float64(max(total.ham, 1))
	n := float64(c.spam + c.ham)
	if n == 0 {
		return 0.5
	}
	f := (doubt*0.5 + n*(spam/(spam+ham))) / (doubt + n)
	return min(max(f, 0.0001), 0.9999)
}

// chance is the probability that a chi-square variable of 2n degrees of freedom
// is at least x.
func chance(x float64, n int) float64 {
	half := x / 2
	term := math.Exp(-half)
	sum := term
	for i := 1; i < n; i++ {
		term *= half / float64(i)
		sum += term
	}
	return min(sum, 1)
}
