package engine

import (
	"testing"
	"unsafe"
)

// TestSiteSize: a hundred thousand sites are 3.2 MB at most, and two of them a cache line.
func TestSiteSize(t *testing.T) {
	if n := unsafe.Sizeof(Site{}); n > 32 {
		t.Errorf("a site takes %d bytes, 32 are the limit", n)
	}
}
