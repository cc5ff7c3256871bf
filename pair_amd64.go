package sijill

import "golang.org/x/sys/cpu"

// paired tells whether blocks runs on this processor.
var paired = cpu.X86.HasSSSE3 && cpu.X86.HasSSE41 && hasSHA()

// hasSHA asks the processor for the SHA extensions: leaf 7, EBX bit 29.
func hasSHA() bool

// blocks compresses n blocks of 64 octets at p into the first eight words of
// state, and as many at q into the others (FIPS 180-4, section 6.2.2). n is at
// least 1. k are the constants of the rounds.
//
//go:noescape
func blocks(state *[16]uint32, p, q *byte, n int, k *[64]uint32)
