// Package self knows where the text and the data of this process are.
//
// The engine asks it once, at the first arm. It reads the program headers of the
// running executable and /proc/self/maps, works out the load bias, and checks
// that the two agree; it uses no runtime symbols. Function boundaries come from
// the public part of package runtime. The result is what internal/site
// searches; internal/gobin is the same view of a file on disk.
//
// The package may not interpret instructions or write anything.
package self
