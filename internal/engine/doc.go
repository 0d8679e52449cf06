// Package engine owns every site and everything that happens to it.
//
// It sits between the public packages and the mechanism: it keeps the keys,
// finds and arms their sites, turns a change of values into a plan of pokes,
// asks internal/protocol what to do next and has it done by internal/text,
// internal/barrier and internal/trap. One mutex covers all of it, as the
// kernel's text_mutex does; reading a key never takes it.
//
// What a call leaves behind is all or nothing: every site and the byte of a key
// show the new value, or every site and the byte show the old one and the call
// says why.
//
// The engine writes no text itself and knows no opcodes. Where the machine
// under it is missing (another OS, another CPU, no permission), keys are
// ordinary bytes and Status says so.
package engine
