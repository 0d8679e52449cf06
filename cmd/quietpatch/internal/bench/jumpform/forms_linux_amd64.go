package jumpform

// What the functions with a compare in memory read.
var (
	off = false
	on  = true
)

// The functions of forms_linux_amd64.s.
func loopNear(n int)
func memNear(n int)
func immNear(n int)
func markNear(n int)
func gNear(n int)
func jmp8Near(n int)
func jmp32Near(n int)
func pairNear(n int)
func memFar(n int)
func immFar(n int)
func markFar(n int)
func gFar(n int)
func jmp8Far(n int)
func nop9Far(n int)
func nop5Far(n int)
func pairFar(n int)
func loopOn(n int)
func memOn(n int)
func immOn(n int)
func markOn(n int)
func gOn(n int)
func jmp8On(n int)
func nop9On(n int)
func pairOn(n int)

// A form is one way to write a check.
type form struct {
	name, what string
	run        func(n int)
}

var forms = []form{
	{"loopNear", "no check", loopNear},
	{"memNear", "CMPB $0, mem; JE over the body, taken", memNear},
	{"immNear", "TESTQ $7, SP; JE over the body, taken", immNear},
	{"markNear", "the same behind a NOP, as inlining in two steps leaves one", markNear},
	{"gNear", "TESTQ $7, R14; JE over the body, taken", gNear},
	{"jmp8Near", "JMP rel8 for the compare, over the JE and the body", jmp8Near},
	{"jmp32Near", "JMP rel32 for the compare, over the JE and the body", jmp32Near},
	{"pairNear", "NOP for the compare; JMP for the JE, over the body", pairNear},
	{"memFar", "CMPB $0, mem; JNE to a body elsewhere, not taken", memFar},
	{"immFar", "TESTQ $7, SP; JNE to a body elsewhere, not taken", immFar},
	{"markFar", "the same behind a NOP", markFar},
	{"gFar", "TESTQ $7, R14; JNE to a body elsewhere, not taken", gFar},
	{"jmp8Far", "JMP rel8 for the compare, over the JNE", jmp8Far},
	{"nop9Far", "a 9-byte NOP over both (not safe)", nop9Far},
	{"nop5Far", "5- and 4-byte NOPs over both (not safe)", nop5Far},
	{"pairFar", "NOP for the compare; TESTB $imm, AL for the JNE", pairFar},
	{"loopOn", "the body alone", loopOn},
	{"memOn", "CMPB $0, mem; JE not taken; body", memOn},
	{"immOn", "TESTQ $mask, SP; JE not taken; body", immOn},
	{"markOn", "the same behind a NOP", markOn},
	{"gOn", "TESTQ $mask, R14; JE not taken; body", gOn},
	{"jmp8On", "JMP rel8 for the compare, over the JE to the body", jmp8On},
	{"nop9On", "a 9-byte NOP over both (not safe); body", nop9On},
	{"pairOn", "NOP for the compare; TESTB $imm, AL for the JE; body", pairOn},
}
