package engine

import (
	"testing"
	"unsafe"
)

// TestSiteSize: a hundred thousand sites are 4.8 MB at most.
func TestSiteSize(t *testing.T) {
	if n := unsafe.Sizeof(Site{}); n > 48 {
		t.Errorf("a site takes %d bytes, 48 are the limit", n)
	}
}
