// Two SHA-256 compressions side by side, with the SHA extensions. One alone
// waits for its own results most of the time: two take little longer.

#include "textflag.h"

// swap reverses the octets of each of four words.
DATA swap<>+0(SB)/8, $0x0405060700010203
DATA swap<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL swap<>(SB), RODATA|NOPTR, $16

// ROUNDS does rounds 4i to 4i+3 of one lane, whose message words are m. K are at
// SI, X0 is what SHA256RNDS2 adds.
#define ROUNDS(i, s0, s1, m) \
	MOVOU (16*i)(SI), X0;    \
	PADDD m, X0;             \
	SHA256RNDS2 X0, s0, s1;  \
	PSHUFD $0x0e, X0, X0;    \
	SHA256RNDS2 X0, s1, s0

// NEXT makes the words of the next four rounds out of b, the words before b's,
// which are a, and those of three steps ago, which are in n.
#define NEXT(a, b, n)    \
	MOVO b, X12;         \
	PALIGNR $4, a, X12;  \
	PADDD X12, n;        \
	SHA256MSG2 b, n

// LOAD reads the message words of four rounds.
#define LOAD(at, p, m)  \
	MOVOU at(p), m;     \
	PSHUFB X13, m

// ENTER and LEAVE turn a state in order, at r, into what the rounds want and
// back.
#define ENTER(at, s0, s1)        \
	MOVOU (at)(DI), s0;          \
	MOVOU (at+16)(DI), s1;       \
	PSHUFD $0xb1, s0, X12;       \
	PSHUFD $0x1b, s1, s1;        \
	MOVO X12, s0;                \
	PALIGNR $8, s1, s0;          \
	PBLENDW $0xf0, X12, s1

#define LEAVE(at, s0, s1)        \
	PSHUFD $0x1b, s0, s0;        \
	PSHUFD $0xb1, s1, s1;        \
	MOVO s0, X12;                \
	PBLENDW $0xf0, s1, X12;      \
	PALIGNR $8, s0, s1;          \
	MOVOU X12, (at)(DI);         \
	MOVOU s1, (at+16)(DI)

// STEP and MIX are rounds of both lanes with the words for the rounds to come;
// LAST those after which no more mixing is wanted.
#define STEP(i, a, b, n, c, d, o)  \
	ROUNDS(i, X1, X2, b);          \
	NEXT(a, b, n);                 \
	ROUNDS(i, X3, X14, d);         \
	NEXT(c, d, o)

#define MIX(i, a, b, n, c, d, o)   \
	STEP(i, a, b, n, c, d, o);     \
	SHA256MSG1 b, a;               \
	SHA256MSG1 d, c

// func blocks(state *[16]uint32, p, q *byte, n int, k *[64]uint32)
//
// Lane 1: state in X1 and X2, words in X4 to X7. Lane 2: state in X3 and X14,
// words in X8 to X11.
TEXT ·blocks(SB), NOSPLIT, $64-40
	MOVQ state+0(FP), DI
	MOVQ p+8(FP), AX
	MOVQ q+16(FP), BX
	MOVQ n+24(FP), CX
	MOVQ k+32(FP), SI
	MOVOU swap<>(SB), X13
	ENTER(0, X1, X2)
	ENTER(32, X3, X14)

loop:
	MOVOU X1, 0(SP)
	MOVOU X2, 16(SP)
	MOVOU X3, 32(SP)
	MOVOU X14, 48(SP)

	LOAD(0, AX, X4)
	LOAD(0, BX, X8)
	ROUNDS(0, X1, X2, X4)
	ROUNDS(0, X3, X14, X8)
	LOAD(16, AX, X5)
	LOAD(16, BX, X9)
	ROUNDS(1, X1, X2, X5)
	ROUNDS(1, X3, X14, X9)
	SHA256MSG1 X5, X4
	SHA256MSG1 X9, X8
	LOAD(32, AX, X6)
	LOAD(32, BX, X10)
	ROUNDS(2, X1, X2, X6)
	ROUNDS(2, X3, X14, X10)
	SHA256MSG1 X6, X5
	SHA256MSG1 X10, X9
	LOAD(48, AX, X7)
	LOAD(48, BX, X11)
	MIX(3, X6, X7, X4, X10, X11, X8)
	MIX(4, X7, X4, X5, X11, X8, X9)
	MIX(5, X4, X5, X6, X8, X9, X10)
	MIX(6, X5, X6, X7, X9, X10, X11)
	MIX(7, X6, X7, X4, X10, X11, X8)
	MIX(8, X7, X4, X5, X11, X8, X9)
	MIX(9, X4, X5, X6, X8, X9, X10)
	MIX(10, X5, X6, X7, X9, X10, X11)
	MIX(11, X6, X7, X4, X10, X11, X8)
	MIX(12, X7, X4, X5, X11, X8, X9)
	STEP(13, X4, X5, X6, X8, X9, X10)
	STEP(14, X5, X6, X7, X9, X10, X11)
	ROUNDS(15, X1, X2, X7)
	ROUNDS(15, X3, X14, X11)

	MOVOU 0(SP), X4
	MOVOU 16(SP), X5
	MOVOU 32(SP), X6
	MOVOU 48(SP), X7
	PADDD X4, X1
	PADDD X5, X2
	PADDD X6, X3
	PADDD X7, X14

	ADDQ $64, AX
	ADDQ $64, BX
	DECQ CX
	JNZ  loop

	LEAVE(0, X1, X2)
	LEAVE(32, X3, X14)
	RET

// func hasSHA() bool
TEXT ·hasSHA(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  done
	MOVL $7, AX
	XORL CX, CX
	CPUID
	SHRL $29, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)

done:
	RET
