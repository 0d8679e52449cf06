// Package e2e runs whole programs: it builds prog, in many ways, and lets it
// hammer its own text in a process that may crash. TestNightly mixes everything
// that prog can do with everything that may disturb it, for as long as it is
// told; TestNumbers walks numbers through all of their values and counts what each
// change costs; the other tests look at one thing each.
//
// The package is tests only: nothing imports it.
package e2e
