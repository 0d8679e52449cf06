// Package jumpform holds checks in forms that the library does not use: with the
// compare and the jump behind it replaced together, by a jump or a NOP, as the
// Linux kernel's jump labels do it. Its benchmark compares them with the immediate
// form that the library does use, whose jump stays.
//
// Only a form that leaves the conditional jump's own bytes in place (a JMP in the
// place of the compare) is one that a thread stopped between the two instructions
// can resume in; a NOP over both is measured as the bound of what could be gained.
//
// Place in the flow: none; the figures are in docs/RATIONALE.md. It may not be
// imported.
package jumpform
