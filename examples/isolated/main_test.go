package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// asProgram makes the test binary the example: threads of a test should not be moved.
const asProgram = "QUIETPATCH_EXAMPLE_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestProgram: packets arrive in order, and nobody is interrupted for the flips where
// text is patched. With int3 a check in isolation would be noticed.
func TestProgram(t *testing.T) {
	if _, err := lastCPU(); err != nil {
		t.Skip(err)
	}
	for _, strategy := range []string{"", "int3"} {
		t.Run("strategy="+strategy, func(t *testing.T) { program(t, strategy) })
	}
}

func program(t *testing.T, strategy string) {
	cmd := exec.Command(os.Args[0], "-for", "400ms")
	cmd.Env = append(os.Environ(), asProgram+"=1", "QUIETPATCH_STRATEGY="+strategy)
	b, err := cmd.CombinedOutput()
	out := string(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	number := func(what string) int {
		m := regexp.MustCompile(`(\d+) ` + what).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no number of %q in\n%s", what, out)
		}
		n, _ := strconv.Atoi(m[1])
		return n
	}
	if number("polls") == 0 || number("packets") == 0 || number("flips") == 0 {
		t.Errorf("nothing happened:\n%s", out)
	}
	if number("of them out of order") != 0 || number("violations") != 0 {
		t.Errorf("lost packets or violations:\n%s", out)
	}
	if strings.Contains(out, "mode live") && !strings.Contains(out, "nobody was spared") &&
		(number("syncs deferred") == 0 || !regexp.MustCompile(`made up for [1-9]`).MatchString(out)) {
		t.Errorf("no syncs were deferred, or they were not made up for:\n%s", out)
	}
}

func TestLast(t *testing.T) {
	for list, want := range map[string]int{"0-3": 3, "0,2": 2, "0-1,12": 12, "7": 7} {
		if cpu, err := last(list); err != nil || cpu != want {
			t.Errorf("%q: %d, %v; expected %d", list, cpu, err, want)
		}
	}
}

// TestRing: full and empty, and around the end.
func TestRing(t *testing.T) {
	var r ring
	var to [100]packet
	next := uint64(0)
	for number := uint64(0); number < 5*slots; {
		for r.put(packet{number}) {
			number++
		}
		if n := r.filled.Load() - r.emptied.Load(); n != slots {
			t.Fatalf("full with %d packets", n)
		}
		for n := r.take(to[:]); n > 0; n = r.take(to[:]) {
			for _, p := range to[:n] {
				if p.number != next {
					t.Fatalf("packet %d, expected %d", p.number, next)
				}
				next++
			}
		}
	}
}
