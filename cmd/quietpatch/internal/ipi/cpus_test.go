package ipi

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// small returns all sets of the CPUs 0 to n-1.
func small(n int) []CPUs {
	var sets []CPUs
	for bits := range 1 << n {
		var c CPUs
		for cpu := range n {
			if bits>>cpu&1 == 1 {
				c = c.With(cpu)
			}
		}
		sets = append(sets, c)
	}
	return sets
}

func list(c CPUs) []int { return slices.Collect(c.All()) }

// TestSetsAgree compares every operation on all pairs of sets of 6 CPUs with lists of
// numbers; a second copy of each set lies 60 CPUs higher, across the end of a word.
func TestSetsAgree(t *testing.T) {
	for _, shift := range []int{0, 60} {
		sets := small(6)
		for i, c := range sets {
			var s CPUs
			for cpu := range c.All() {
				s = s.With(cpu + shift)
			}
			sets[i] = s
		}
		for _, c := range sets {
			lc := list(c)
			if c.Len() != len(lc) || len(lc) > 0 && c.First() != lc[0] || len(lc) == 0 && c.First() != -1 {
				t.Fatalf("%v: Len %d, First %d", lc, c.Len(), c.First())
			}
			for cpu := -70; cpu < 200; cpu++ {
				if c.Has(cpu) != slices.Contains(lc, cpu) {
					t.Fatalf("%v: Has(%d) = %v", lc, cpu, c.Has(cpu))
				}
			}
			for _, d := range sets {
				ld := list(d)
				both := slices.DeleteFunc(slices.Clone(lc), func(cpu int) bool { return !slices.Contains(ld, cpu) })
				if got := c.And(d); !got.Equal(MakeCPUs(both...)) || !reflect.DeepEqual(got, MakeCPUs(both...)) {
					t.Fatalf("%v and %v: got %v, want %v", lc, ld, list(got), both)
				}
				if got := c.Intersects(d); got != (len(both) > 0) {
					t.Fatalf("%v and %v: Intersects is %v", lc, ld, got)
				}
				if got := c.Equal(d); got != slices.Equal(lc, ld) {
					t.Fatalf("%v and %v: Equal is %v", lc, ld, got)
				}
			}
		}
	}
}

func TestBelow(t *testing.T) {
	for n := range 200 {
		c := Below(n)
		if c.Len() != n || n > 0 && (!c.Has(n-1) || c.Has(n)) || !reflect.DeepEqual(c, MakeCPUs(list(c)...)) {
			t.Errorf("Below(%d) = %v", n, c)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"0", "0"},
		{"2-3", "2-3"},
		{"0-3,8", "0-3,8"},
		{" 3 , 1\t5,", "1,3,5"},
		{",,1", "1"},
		{"1,1,0-2,2", "0-2"},
		{"0-15:2/4", "0-1,4-5,8-9,12-13"},
		{"all", "0-15"},
		{"ALL", "0-15"},
		{"all:1/2", "0,2,4,6,8,10,12,14"},
		{"14-N", "14-15"},
		{"N", "15"},
		{"0-9:4/100", "0-3"},
		{"3-3", "3"},
		{"007", "7"},
	} {
		got, err := ParseCPUs(test.in, 16)
		if err != nil || got.String() != test.want {
			t.Errorf("%q: got %v, %v, want %s", test.in, got, err, test.want)
		}
	}
}

func TestParseCPUsErrors(t *testing.T) {
	for _, test := range []struct {
		in       string
		at       int
		expected string // a part of it
		found    string
	}{
		{"", 0, "a CPU number from 0 to 15", "the end"},
		{" , ", 3, "a CPU number from 0 to 15", "the end"},
		{"16", 0, "a CPU number from 0 to 15", `"16"`},
		{"1,99999999999999999999", 2, "a CPU number", `"99999999999999999999"`},
		{"3-2", 2, "the end of the range to be at least 3", `"2"`},
		{"3-16", 2, "a CPU number from 0 to 15", `"16"`},
		{"3-", 2, "a CPU number", "the end"},
		{"-3", 0, "a CPU number", `"-3"`},
		{"x", 0, "a CPU number", `"x"`},
		{"1,2,x3,4", 4, "a CPU number", `"x3"`},
		{"1;2", 1, `"-", a comma or the end`, `";2"`},
		{"1-2-3", 3, "a comma, the end, or groups", `"-3"`},
		{"0-7:", 4, "how many CPUs", "the end"},
		{"0-7:0/4", 4, "at least 1", `"0/4"`},
		{"0-7:2", 5, `"/"`, "the end"},
		{"0-7:2/1", 6, "at least 2", `"1"`},
		{"0-7:2/4all", 7, "a comma", `"all"`},
		{"3:1/2", 1, `"-"`, `":1/2"`},
		{"0x3", 1, `"-"`, `"x3"`},
		{"N-2", 2, "at least 15", `"2"`},
		{"1,\u00a02", 2, "a CPU number", `"\u00a02"`},
		{strings.Repeat("y", 50), 0, "a CPU number", `"yyyyyyyyyyyyyyyyyyyyyyyy"...`},
	} {
		got, err := ParseCPUs(test.in, 16)
		e, ok := err.(*ListError)
		if !ok || got != nil {
			t.Errorf("%q: got %v, %v, want an error", test.in, got, err)
			continue
		}
		if e.At != test.at || !strings.Contains(e.Expected, test.expected) || e.Found != test.found {
			t.Errorf("%q: got %+v, want %+v", test.in, e, test)
		}
	}
	if _, err := ParseCPUs("1", 1); err == nil || !strings.Contains(err.Error(), "CPU 0, the only one") {
		t.Errorf("got %v", err)
	}
}

// FuzzParseCPUs: no panic, a position inside the list, and what is printed reads back
// as the same set.
func FuzzParseCPUs(f *testing.F) {
	for _, s := range []string{"", "0-3,8", "all:1/2", "2-N", "0-7:2/4", "9-3", "1,,x"} {
		f.Add(s, 16)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		c, err := ParseCPUs(s, n)
		if err != nil {
			if e := err.(*ListError); e.At < 0 || e.At > len(s) || e.Found == "" || e.Expected == "" {
				t.Fatalf("%q: %+v", s, e)
			}
			return
		}
		again, err := ParseCPUs(c.String(), n)
		if err != nil || !again.Equal(c) || c.Len() == 0 || !c.Equal(c.And(Below(min(max(n, 1), CPUsMax)))) {
			t.Fatalf("%q: %v, printed %q, read as %v, %v", s, c, c.String(), again, err)
		}
	})
}
