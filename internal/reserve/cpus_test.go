package reserve

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// machine is one with the CPUs 0 to 11.
func machine() (int, error) { return 11, nil }

func TestParse(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"", ""},
		{" \n", ""},
		{",", ""},
		{"3", "3"},
		{"003", "3"},
		{"0", "0"},
		{"4095", "4095"},
		{"0-3,8", "0-3,8"},
		{"8,0-3", "0-3,8"},
		{"0,1,2,3", "0-3"},
		{"1,1,0-1", "0-1"},
		{" 0-3, 8 ", "0-3,8"},
		{"0-3 8\t9\n", "0-3,8-9"},
		{",0,,2,", "0,2"},
		{"5-5", "5"},
		{"0-15:2/4", "0-1,4-5,8-9,12-13"},
		{"1,2,10-20,100-2000:2/25", ""}, // below
		{"0-1023:2/256", "0-1,256-257,512-513,768-769"},
		{"9-38:4/10", "9-12,19-22,29-32"},
		{"0-9:3/4", "0-2,4-6,8-9"}, // the last group is cut
		{"0-7:8/8", "0-7"},
		{"0-3:5/9", "0-3"},
		{"all", "0-11"},
		{"ALL", "0-11"},
		{"All:1/2", "0,2,4,6,8,10"},
		{"N", "11"},
		{"2-N", "2-11"},
		{"N-N", "11"},
		{"0-N:1/N", "0,11"},
		{"0,N", "0,11"},
		{"20,N", "11,20"}, // the numbers of a machine need not be those of the list
	} {
		got, err := parse(c.list, machine)
		if err != nil {
			t.Errorf("parse(%q): %v", c.list, err)
			continue
		}
		if want := c.want; want != "" && got.String() != want || strings.Trim(c.list, " ,\n") == "" && len(got) != 0 {
			t.Errorf("parse(%q) = %s, want %s", c.list, got, want)
		}
	}
	// The example of the kernel's document: "represents CPUs 100,101,125,126,150,151,..."
	got, err := parse("1,2,10-20,100-2000:2/25", machine)
	if err != nil || !strings.HasPrefix(got.String(), "1-2,10-20,100-101,125-126,150-151,") || got[len(got)-1] != 2000 {
		t.Errorf("the kernel's example is %s, %v", got, err)
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"x", `CPU list "x", character 1: expected a CPU number, N or all, found "x"`},
		{"0-3,x", `CPU list "0-3,x", character 5: expected a CPU number, N or all, found "x"`},
		{"0-", `character 3: expected the last CPU number of the range, found the end`},
		{"0-,4", `character 3: expected the last CPU number of the range, found ","`},
		{"3-1", `character 3: expected the last CPU number of the range to be at least 3, found "1"`},
		{"-1", `character 1: expected a CPU number, N or all, found "-1"`},
		{"1.5", `character 2: expected -, a comma or the end after a CPU number, found ".5"`},
		{"1:2/4", `character 2: expected -, a comma or the end after a CPU number, found ":2/4"`},
		{"0-3-5", `character 4: expected a comma, the end, or a colon and groups such as :2/4, found "-5"`},
		{"all-3", `character 4: expected a comma, the end, or a colon`},
		{"allow", `character 4: expected a comma, the end, or a colon`},
		{"n", `character 1: expected a CPU number, N or all, found "n"`},
		{"0-15:", `character 6: expected how many CPUs of each group to use, found the end`},
		{"0-15:0/4", `character 6: expected at least 1 CPU of each group to use, found "0/4"`},
		{"0-15:2", `character 7: expected a slash and the size of the groups, as in :2/4, found the end`},
		{"0-15:2/", `character 8: expected the size of the groups, found the end`},
		{"0-15:2/0", `character 8: expected groups of at least 2, found "0"`},
		{"0-15:3/2", `character 8: expected groups of at least 3, found "2"`},
		{"0-15:2/4/8", `character 9: expected a comma or the end, found "/8"`},
		{"4096", `character 1: expected a CPU number, N or all, at most 4095, found "4096"`},
		{"0-999999999", `character 3: expected the last CPU number of the range, at most 4095, found "999999999"`},
		{"0-18446744073709551617", `found "1844674407370955..."`},
		{"domain,managed_irq,2-7", `character 1: expected`}, // flags of isolcpus=
		{"0,é,ü", `character 3: expected a CPU number, N or all, found "é"`},
		{"0 - 3", `character 3: expected a CPU number, N or all, found "-"`},
		{strings.Repeat("0,", 1000) + "x", `character 2001: expected`},
		{strings.Repeat("0", listMax+1), `expected at most 32768`},
	} {
		got, err := parse(c.list, machine)
		if err == nil || !strings.Contains(err.Error(), c.want) {
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
	if _, err := parse("all", func() (int, error) { return 8191, nil }); err == nil {
		t.Error("all CPUs of a machine with 8192: no error")
	}
}

// TestParseHostile: no list costs more than its bytes do.
func TestParseHostile(t *testing.T) {
	begin := time.Now()
	for _, list := range []string{
		"0-999999999", "999999999999999999999999", "0-4294967295:1/4294967295",
		strings.Repeat("9", 1<<20), strings.Repeat(",", 1<<20),
		strings.Repeat("0-4095,", listMax/7), strings.Repeat("0-N:1/1,", listMax/8),
	} {
		_, _ = parse(list, func() (int, error) { return 4095, nil })
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("took %v", d)
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
		if err != nil || !slices.Equal(c, again) || len(c.String()) > listMax/2 {
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

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "3", "0-3,8", "0-15:2/4", "all", "2-N:1/3", " 1 ,\t2\n", "0-999999999", "0-3-5", "é", "5-1", "0:1/2", "all:0/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		c, err := parse(list, machine)
		if err != nil {
			if !strings.Contains(err.Error(), "expected ") {
				t.Errorf("parse(%q): %v does not say what was expected", list, err)
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
