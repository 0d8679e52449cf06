package affinity

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

// TestAvoid moves its threads in a process of its own.
func TestAvoid(t *testing.T) {
	cpus, err := Allowed()
	if err != nil || len(cpus) < 2 {
		t.Skipf("needs two CPUs: %v, %v", cpus, err)
	}
	if os.Getenv("QUIETPATCH_TEST_AVOID") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAvoid$")
		cmd.Env = append(os.Environ(), "QUIETPATCH_TEST_AVOID=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	last := cpus[len(cpus)-1]
	if err := Avoid(func(cpu int) bool { return cpu == last }); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		seen := make(chan []int)
		go func() {
			now, _ := Allowed()
			seen <- now
		}()
		if now := <-seen; slices.Contains(now, last) || len(now) != len(cpus)-1 {
			t.Fatalf("a thread may run on %v, avoided is %d", now, last)
		}
	}
	if err := Avoid(func(int) bool { return true }); err == nil {
		t.Error("all CPUs are avoided")
	}
}
