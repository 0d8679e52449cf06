package ipibpf

import (
	"testing"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

// TestCheck: the check and the start agree, and every event says what is lost without it.
func TestCheck(t *testing.T) {
	ok := true
	for _, f := range Check() {
		t.Logf("%+v", f)
		ok = ok && (f.OK || !f.Needed)
		if f.Name == "" || f.Lost == "" || !f.OK && f.Why == "" {
			t.Errorf("%+v: something is not said", f)
		}
	}
	tr, err := Open(ipitrace.Options{})
	if err == nil {
		tr.Close()
	}
	if ok != (err == nil) {
		t.Errorf("the check says %v, the start %v", ok, err)
	}
}
