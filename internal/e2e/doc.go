// Package e2e runs whole programs: it builds prog, in many ways, and lets it
// hammer its own text in a process that may crash.
package e2e
