// Package kallsyms names the functions of the kernel by their addresses.
//
// Place in the flow: a backend that reads addresses from the kernel's events asks here what they
// are. The package reads /proc/kallsyms and nothing else.
package kallsyms
