package ipi

import (
	"reflect"
	"slices"
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
				either := slices.Compact(slices.Sorted(slices.Values(slices.Concat(lc, ld))))
				if got := c.Or(d); !got.Equal(MakeCPUs(either...)) || !reflect.DeepEqual(got, MakeCPUs(either...)) {
					t.Fatalf("%v or %v: got %v, want %v", lc, ld, list(got), either)
				}
				rest := slices.DeleteFunc(slices.Clone(lc), func(cpu int) bool { return slices.Contains(ld, cpu) })
				if got := c.AndNot(d); !got.Equal(MakeCPUs(rest...)) || !reflect.DeepEqual(got, MakeCPUs(rest...)) {
					t.Fatalf("%v and not %v: got %v, want %v", lc, ld, list(got), rest)
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
		{"8,0-3,1", "0-3,8"},
		{"all", "0-99"},
		{"70-N:1/10", "70,80,90"},
	} {
		got, err := ParseCPUs(test.in, 100)
		if err != nil || got.String() != test.want {
			t.Errorf("%q: got %v, %v, want %s", test.in, got, err, test.want)
		}
	}
	for _, test := range []struct {
		in   string
		want ListError
	}{
		{"", ListError{At: 0, Expected: "a CPU number from 0 to 15", Found: "the end"}},
		{" , ", ListError{At: 3, Expected: "a CPU number from 0 to 15", Found: "the end"}},
		{"1,16", ListError{At: 2, Expected: "a CPU number from 0 to 15", Found: `"16"`}},
	} {
		got, err := ParseCPUs(test.in, 16)
		if e, ok := err.(*ListError); !ok || *e != test.want || got != nil {
			t.Errorf("%q: got %v, %v, want %v", test.in, got, err, &test.want)
		}
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
