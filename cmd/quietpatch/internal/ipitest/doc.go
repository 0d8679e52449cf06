//go:build linux

// Package ipitest is what the tests of all backends do alike: it runs scenarios until the victim
// has received just what they send, adds up rows, and has the tests that every backend must pass.
//
// Place in the flow: the tests of ipibpf and ipitracefs make a [Rig] and a [Backend] of it, with their
// own Open, and call the tests; what is special to a backend they test themselves. The scenarios
// are those of package ipidrive. No program links the package.
package ipitest
