// Package cpulist reads lists of CPUs in the kernel's form, such as 0-3,8.
//
// People write such lists (isolate.Reserve, quietpatch trace), and the kernel does, in
// /sys/devices/system/cpu. A list is read for a machine: callers say below which number all
// CPUs are, and which is the last. Errors say at which character of the list something else
// was expected.
//
// The package is pure: it reads no file, and knows nothing of the machine that it runs on.
package cpulist
