package reserve

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/quietpatch/quietpatch/internal/cpulist"
)

// machine is one with the CPUs 0 to 11.
func machine() (int, error) { return 11, nil }

func TestParse(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"", ""}, {" ,\n", ""}, {"0-3,8", "0-3,8"}, {"8,0-1,1", "0-1,8"}, {"4095", "4095"}, {"all:1/2", "0,2,4,6,8,10"}, {"2-N", "2-11"},
	} {
		if got, err := parse(c.list, machine); err != nil || got.String() != c.want {
			t.Errorf("parse(%q) = %s, %v; want %s", c.list, got, err, c.want)
		}
	}
}

// TestParseErrors: errors show the list, of a long one a part.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"0-3,x", `CPU list "0-3,x", character 5: expected a CPU number from 0 to 4095, found "x"`},
		{"0-", `CPU list "0-", character 3: expected a CPU number from 0 to 4095, found the end`},
		{"0-4096", `character 3: expected a CPU number from 0 to 4095, found "4096"`},
		{strings.Repeat("0,", 1000) + "x", `CPU list "...` + strings.Repeat("0,", 30) + `x...", character 2001: expected`},
		{strings.Repeat("0,", 40) + "é" + strings.Repeat(",1", 40), `character 81: expected a CPU number from 0 to 4095, found "é"`},
		{"x" + strings.Repeat(",1", 40), `CPU list "...x` + strings.Repeat(",1", 14) + `,...", character 1: expected`},
		{strings.Repeat("0", cpulist.LenMax+1), `character 32769: expected at most 32768 bytes, found`},
	} {
		got, err := parse(c.list, machine)
		if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("parse(%.30q) = %s, %v; want an error with %s", c.list, got, err, c.want)
		} else if len(err.Error()) > 300 {
			t.Errorf("parse(%.30q): an error of %d bytes", c.list, len(err.Error()))
		}
	}
}

func TestParseUnknownMachine(t *testing.T) {
	unknown := errors.New("no such file")
	for _, list := range []string{"all", "0,N"} {
		_, err := parse(list, func() (int, error) { return 0, unknown })
		if !errors.Is(err, unknown) || !strings.Contains(err.Error(), "character ") {
			t.Errorf("parse(%q) without a known machine: %v", list, err)
		}
	}
	if _, err := parse("all", func() (int, error) { return 8191, nil }); err == nil || !strings.Contains(err.Error(), "is 8191, not from 0 to 4095") {
		t.Errorf("all CPUs of a machine with 8192: %v", err)
	}
}

// TestLongestList: what String makes of the worst sets can be read back.
func TestLongestList(t *testing.T) {
	for _, list := range []string{"0-4095:1/2", "0-4095:2/3", "1-4095:1/2", "0-4095"} {
		c, err := parse(list, machine)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(c.String())
		if err != nil || !slices.Equal(c, again) || len(c.String()) > cpulist.LenMax/2 {
			t.Errorf("%s: %d bytes; read back: %v", list, len(c.String()), err)
		}
	}
}

func TestSets(t *testing.T) {
	c, err := sorted([]int{3, 0, 3, 7})
	if err != nil || c.String() != "0,3,7" {
		t.Fatalf("sorted: %s, %v", c, err)
	}
	for _, cpu := range []int{-1, cpusMax} {
		if _, err := sorted([]int{0, cpu}); err == nil {
			t.Errorf("CPU %d: no error", cpu)
		}
	}
	for cpu, want := range map[int]bool{0: true, 1: false, 3: true, 7: true, 8: false, -1: false} {
		if c.Contains(cpu) != want {
			t.Errorf("%s.Contains(%d) = %v", c, cpu, !want)
		}
	}
	o := CPUs{1, 3}
	if m, b, p := c.minus(o), c.both(o), c.plus(o); m.String() != "0,7" || b.String() != "3" || p.String() != "0-1,3,7" {
		t.Errorf("%s and %s: minus %s, both %s, plus %s", c, o, m, b, p)
	}
	if !c.overlaps(o) || c.overlaps(CPUs{1}) || c.String() != "0,3,7" || o.String() != "1,3" {
		t.Error("overlaps, or a set was changed")
	}
}

// FuzzParse is about sets that are printed and errors that show a part of the list; lists themselves
// have a fuzz target in package cpulist.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "3", "0-3,8", "0-15:2/4", "all", "2-N:1/3", " 1 ,\t2\n", "0-999999999", "0-3-5", "é", "5-1", "0:1/2", "all:0/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		c, err := parse(list, machine)
		if err != nil {
			if !strings.Contains(err.Error(), "expected ") || len(err.Error()) > 600 {
				t.Errorf("parse(%q): %v does not say what was expected, or too much", list, err)
			}
			return
		}
		for i, cpu := range c {
			if cpu < 0 || cpu >= cpusMax || i > 0 && cpu <= c[i-1] {
				t.Fatalf("parse(%q) = %v", list, []int(c))
			}
		}
		again, err := parse(c.String(), machine)
		if err != nil || !slices.Equal(again, c) {
			t.Errorf("parse(%q) = %s, which reads as %s, %v", list, c, again, err)
		}
	})
}
