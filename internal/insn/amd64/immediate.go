package amd64

// immediate returns the length of the immediate of the given kind, or of the
// address in MOV moffs.
func immediate(in *Inst, kind attr) (uint8, error) {
	switch kind {
	case imm8, suffix:
		return 1, nil
	case imm16:
		return 2, nil
	case imm24:
		return 3, nil
	case immZ:
		return immZLen(in), nil
	case immV:
		if in.Rex&rexW != 0 {
			return 8, nil
		}
		return immZLen(in), nil
	case rel8:
		return 1, checkBranch(in)
	case rel32:
		return 4, checkBranch(in)
	}
	return rareImmediate(in, kind)
}

func rareImmediate(in *Inst, kind attr) (uint8, error) {
	switch kind {
	case test8, testZ:
		if in.ModRM>>3&7 > 1 { // NOT, NEG, MUL, IMUL, DIV, IDIV
			return 0, nil
		}
		if kind == test8 {
			return 1, nil
		}
		return immZLen(in), nil
	case moffs:
		if in.Prefixes&AddrSize != 0 {
			return 4, nil
		}
		return 8, nil
	case immEXTRQ:
		return extrqLen(in)
	case immPOPCNT:
		if in.Prefixes&Rep == 0 {
			return 0, ErrInvalid
		}
	}
	return 0, nil
}

// immZLen is the length of an immediate of the operand size, at most 4 bytes.
// REX.W takes precedence over 66 (Intel SDM vol. 1, 3.6.1).
func immZLen(in *Inst) uint8 {
	if in.Prefixes&OpSize != 0 && in.Rex&rexW == 0 {
		return 2
	}
	return 4
}

// checkBranch refuses what CPUs decode differently. With REX.W the
// operand size is 64 bits everywhere: compilers emit 66 66 48 E8 for
// __tls_get_addr.
func checkBranch(in *Inst) error {
	if in.Prefixes&OpSize != 0 && in.Rex&rexW == 0 {
		return ErrAmbiguous
	}
	return nil
}

// extrqLen tells VMREAD (0F 78), EXTRQ (66 0F 78 /0 ib ib) and INSERTQ
// (F2 0F 78 /r ib ib) apart (AMD APM vol. 4, SSE4a).
func extrqLen(in *Inst) (uint8, error) {
	switch {
	case in.Prefixes&Rep != 0:
		return 0, ErrInvalid
	case in.Prefixes&(OpSize|RepNE) == 0:
		return 0, nil
	case in.ModRM < 0xC0, in.Prefixes&RepNE == 0 && in.ModRM&0x38 != 0:
		return 0, ErrInvalid
	}
	return 2, nil
}
