package ipitracefs

import "testing"

func TestNamesOfKworkers(t *testing.T) {
	for name, want := range map[string]string{
		"kworker/0:1-events": "kworker/0:1", "kworker/u8:2+flush-8:0": "kworker/u8:2", "kworker/0:1H": "kworker/0:1H",
		"kworker/R-kblockd": "kworker/R-kblockd", "a-b:c-d": "a-b:c-d",
	} {
		if got := kworker(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if got := statFlags("7 (a) b) c) S 2 0 0 0 -1 2129984 0"); got != 2129984 {
		t.Errorf("flags: got %d", got)
	}
	if got := statFlags("7 (x"); got != 0 {
		t.Errorf("flags: got %d", got)
	}
}
