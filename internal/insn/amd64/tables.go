package amd64

// attr says what follows an opcode byte. The low bits are the kind of the
// immediate; escapes and prefixes have values of their own.
type attr uint8

// Kinds of immediate.
const (
	immNone   attr = iota
	imm8           // 1 byte
	imm16          // 2 bytes
	imm24          // ENTER: 2 bytes and 1 byte
	immZ           // 2 bytes with an operand size of 16 bits, else 4
	immV           // MOV: as immZ, but 8 bytes with REX.W
	test8          // imm8, only in /0 and /1 (F6)
	testZ          // immZ, only in /0 and /1 (F7)
	moffs          // an address: 8 bytes, or 4 with an address-size prefix
	rel8           // branch offset of 1 byte
	rel32          // branch offset of 4 bytes
	immEXTRQ       // SSE4a: two bytes with 66 or F2, else none
	immPOPCNT      // none, but the instruction needs F3
	suffix         // 3DNow!: the opcode stands where an imm8 would
)

// What else the attributes of an opcode can say.
const (
	kindMask attr = 0x0F
	modRM    attr = 0x10 // a ModRM byte follows
	group    attr = 0x20 // ModRM.reg selects the instruction, see groupRegs
	regOnly  attr = 0x40 // ModRM.mod is ignored: both operands are registers
)

// Bytes that are not opcodes by themselves.
const (
	invalid attr = 0x80 + iota
	prefix
	rex
	escape0F
	escape38
	escape3A
	escapeVEX2
	escapeVEX3
	escapeEVEX
	escapeXOP // or POP r/m
)

// Short names, to keep one row of a map on one line.
const (
	ok_ = immNone
	ib_ = imm8
	iw_ = imm16
	en_ = imm24
	iz_ = immZ
	iv_ = immV
	jb_ = rel8
	jz_ = rel32
	mo_ = moffs
	m__ = modRM
	mib = modRM | imm8
	miz = modRM | immZ
	mrg = modRM | regOnly
	g__ = modRM | group
	gib = modRM | group | imm8
	giz = modRM | group | immZ
	gtb = modRM | test8
	gtz = modRM | testZ
	exq = modRM | immEXTRQ
	pop = modRM | immPOPCNT
	now = modRM | suffix
	bad = invalid
	pfx = prefix
	rx_ = rex
	x0F = escape0F
	x38 = escape38
	x3A = escape3A
	vx2 = escapeVEX2
	vx3 = escapeVEX3
	evx = escapeEVEX
	xop = escapeXOP
)

// oneByte is the one-byte opcode map in 64-bit mode
// (Intel SDM vol. 2, table A-2; AMD APM vol. 3, appendix A).
var oneByte = [256]attr{
	/*      0    1    2    3    4    5    6    7    8    9    A    B    C    D    E    F */
	/* 0 */ m__, m__, m__, m__, ib_, iz_, bad, bad, m__, m__, m__, m__, ib_, iz_, bad, x0F,
	/* 1 */ m__, m__, m__, m__, ib_, iz_, bad, bad, m__, m__, m__, m__, ib_, iz_, bad, bad,
	/* 2 */ m__, m__, m__, m__, ib_, iz_, pfx, bad, m__, m__, m__, m__, ib_, iz_, pfx, bad,
	/* 3 */ m__, m__, m__, m__, ib_, iz_, pfx, bad, m__, m__, m__, m__, ib_, iz_, pfx, bad,
	/* 4 */ rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_, rx_,
	/* 5 */ ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_,
	/* 6 */ bad, bad, evx, m__, pfx, pfx, pfx, pfx, iz_, miz, ib_, mib, ok_, ok_, ok_, ok_,
	/* 7 */ jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_, jb_,
	/* 8 */ mib, miz, bad, mib, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, xop,
	/* 9 */ ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_, bad, ok_, ok_, ok_, ok_, ok_,
	/* A */ mo_, mo_, mo_, mo_, ok_, ok_, ok_, ok_, ib_, iz_, ok_, ok_, ok_, ok_, ok_, ok_,
	/* B */ ib_, ib_, ib_, ib_, ib_, ib_, ib_, ib_, iv_, iv_, iv_, iv_, iv_, iv_, iv_, iv_,
	/* C */ mib, mib, iw_, ok_, vx3, vx2, gib, giz, en_, ok_, iw_, ok_, ok_, ib_, bad, ok_,
	/* D */ m__, m__, m__, m__, bad, bad, bad, ok_, m__, m__, m__, m__, m__, m__, m__, m__,
	/* E */ jb_, jb_, jb_, jb_, ib_, ib_, ib_, ib_, jz_, jz_, bad, jb_, ok_, ok_, ok_, ok_,
	/* F */ pfx, ok_, pfx, pfx, ok_, ok_, gtb, gtz, ok_, ok_, ok_, ok_, ok_, ok_, g__, g__,
}

// map0F is the opcode map behind 0F (Intel SDM vol. 2, table A-3; AMD APM vol. 3, appendix A).
var map0F = [256]attr{
	/*      0    1    2    3    4    5    6    7    8    9    A    B    C    D    E    F */
	/* 0 */ g__, m__, m__, m__, bad, ok_, ok_, ok_, ok_, ok_, bad, ok_, bad, m__, ok_, now,
	/* 1 */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
	/* 2 */ mrg, mrg, mrg, mrg, bad, bad, bad, bad, m__, m__, m__, m__, m__, m__, m__, m__,
	/* 3 */ ok_, ok_, ok_, ok_, ok_, ok_, bad, ok_, x38, bad, x3A, bad, bad, bad, bad, bad,
	/* 4 */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
	/* 5 */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
	/* 6 */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
	/* 7 */ mib, gib, gib, gib, m__, m__, m__, ok_, exq, m__, bad, bad, m__, m__, m__, m__,
	/* 8 */ jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_, jz_,
	/* 9 */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
	/* A */ ok_, ok_, ok_, m__, mib, m__, bad, bad, ok_, ok_, ok_, m__, mib, m__, m__, m__,
	/* B */ m__, m__, m__, m__, m__, m__, m__, m__, pop, m__, gib, m__, m__, m__, m__, m__,
	/* C */ m__, m__, mib, m__, mib, mib, mib, g__, ok_, ok_, ok_, ok_, ok_, ok_, ok_, ok_,
	/* D */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
	/* E */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
	/* F */ m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__, m__,
}
