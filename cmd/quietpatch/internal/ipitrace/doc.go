// Package ipitrace is what backends have in common: what they are asked to watch, and what
// they give.
//
// Place in the flow: package trace chooses a backend (ipibpf, ipitracefs), opens it with
// [Options] and reads it as a [Tracer]. The package watches nothing and makes no system call.
package ipitrace
