package cpulist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// above is more than every number of the lists of TestParse.
const above = 4096

// machine is one with the CPUs 0 to 11.
func machine() (int, error) { return 11, nil }

// format writes a set as ranges.
func format(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		last := i
		for last+1 < len(cpus) && cpus[last+1] == cpus[last]+1 {
			last++
		}
		part := fmt.Sprint(cpus[i])
		if last > i {
			part += fmt.Sprint("-", cpus[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}

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
		{" 3 , 1\v5,\f6\r", "1,3,5-6"},
		{",0,,2,", "0,2"},
		{"5-5", "5"},
		{"0-15:2/4", "0-1,4-5,8-9,12-13"},
		{"0-1023:2/256", "0-1,256-257,512-513,768-769"},
		{"9-38:4/10", "9-12,19-22,29-32"},
		{"0-9:3/4", "0-2,4-6,8-9"}, // the last group is cut
		{"0-7:8/8", "0-7"},
		{"0-3:5/9", "0-3"},
		{"0-9:4/1048576", "0-3"},
		{"0-9:1048576/1048576", "0-9"},
		{"all", "0-11"},
		{"ALL", "0-11"},
		{"All:1/2", "0,2,4,6,8,10"},
		{"N", "11"},
		{"2-N", "2-11"},
		{"N-N", "11"},
		{"0-N:1/N", "0,11"},
		{"0-N:N/N", "0-11"},
		{"0,N", "0,11"},
		{"20,N", "11,20"}, // the numbers of a machine need not be those of the list
	} {
		got, err := Parse(c.list, above, machine)
		if err != nil || format(got) != c.want {
			t.Errorf("%q: got %s, %v, want %s", c.list, format(got), err, c.want)
		}
	}
	// The example of the kernel's document: "represents CPUs 100,101,125,126,150,151,..."
	got, err := Parse("1,2,10-20,100-2000:2/25", above, machine)
	if err != nil || !strings.HasPrefix(format(got), "1-2,10-20,100-101,125-126,150-151,") || got[len(got)-1] != 2000 {
		t.Errorf("the kernel's example is %s, %v", format(got), err)
	}
}

func TestParseSome(t *testing.T) {
	for _, c := range []struct {
		list string
		n    int
		want string
	}{
		{"0-3,8", 16, "0-3,8"},
		{"all", 16, "0-15"},
		{"14-N", 16, "14-15"},
		{"all:1/2", 16, "0,2,4,6,8,10,12,14"},
		{"all", 1, "0"},
		{"N", 0, "0"},
		{"N", -5, "0"},
		{"N", Max, "8191"},
		{"N", Max + 1, "8191"},
	} {
		if got, err := ParseSome(c.list, c.n); err != nil || format(got) != c.want {
			t.Errorf("%q, %d: got %s, %v, want %s", c.list, c.n, format(got), err, c.want)
		}
	}
	for _, list := range []string{"", ",", " , "} {
		got, err := ParseSome(list, 16)
		want := Error{At: len(list), Expected: "a CPU number from 0 to 15", Found: "the end"}
		if e, ok := err.(*Error); !ok || *e != want || got != nil {
			t.Errorf("%q: got %v, %v", list, got, err)
		}
	}
	_, err := ParseSome("1", 1)
	if want := `CPU list, character 1: expected CPU 0, the only one, found "1"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestErrors(t *testing.T) {
	const number, size = "a CPU number from 0 to 15", "the size of the groups, at least 2"
	const used = "how many CPUs of each group are meant, at least 1"
	const behind = `a comma, the end, or groups such as ":2/4"`
	for _, c := range []struct {
		list            string
		at              int
		expected, found string
	}{
		{"x", 0, number, `"x"`},
		{"n", 0, number, `"n"`},
		{"0-3,x", 4, number, `"x"`},
		{"1,2,x3,4", 4, number, `"x3"`},
		{"16", 0, number, `"16"`},
		{"3-16", 2, number, `"16"`},
		{"1,99999999999999999999", 2, number, `"99999999999999999999"`},
		{"0-18446744073709551617", 2, number, `"18446744073709551617"`},
		{"0-", 2, number, "the end"},
		{"0-,4", 2, number, `","`},
		{"-1", 0, number, `"-1"`},
		{"0 - 3", 2, number, `"-"`},
		{"0,é,ü", 2, number, `"é"`},
		{"1,\u00a02", 2, number, `"\u00a02"`},
		{"domain,managed_irq,2-7", 0, number, `"domain"`}, // flags of isolcpus=
		{"3-2", 2, "the end of the range to be at least 3", `"2"`},
		{"N-2", 2, "the end of the range to be at least 15", `"2"`},
		{"1.5", 1, `"-", a comma or the end`, `".5"`},
		{"1;2", 1, `"-", a comma or the end`, `";2"`},
		{"0x3", 1, `"-", a comma or the end`, `"x3"`},
		{"1:2/4", 1, `"-", a comma or the end`, `":2/4"`},
		{"0-3-5", 3, behind, `"-5"`},
		{"all-3", 3, behind, `"-3"`},
		{"allow", 3, behind, `"ow"`},
		{"0-15:", 5, used, "the end"},
		{"0-15:0/4", 5, used, `"0/4"`},
		{"0-15:1048577/1048577", 5, used, `"1048577/1048577"`},
		{"0-15:2", 6, `"/" and the size of the groups`, "the end"},
		{"0-15:2/", 7, size, "the end"},
		{"0-15:2/0", 7, size, `"0"`},
		{"0-15:2/1", 7, size, `"1"`},
		{"0-15:2/1048577", 7, size, `"1048577"`},
		{"0-15:2/4/8", 8, "a comma or the end", `"/8"`},
		{"0-15:2/4all", 8, "a comma or the end", `"all"`},
		{strings.Repeat("0,", 1000) + "x", 2000, number, `"x"`},
		{strings.Repeat("0", LenMax) + ",1", LenMax, "at most 32768 bytes", `","`},
	} {
		for name, parse := range map[string]func() ([]int, error){
			"Parse":     func() ([]int, error) { return Parse(c.list, 16, func() (int, error) { return 15, nil }) },
			"ParseSome": func() ([]int, error) { return ParseSome(c.list, 16) },
		} {
			got, err := parse()
			want := Error{At: c.at, Expected: c.expected, Found: c.found}
			if e, ok := err.(*Error); !ok || *e != want || got != nil {
				t.Errorf("%s(%.30q): got %v, %v; want %v", name, c.list, got, err, &want)
			}
		}
	}
}

// TestLast: the machine is asked once at most, and only for what needs it.
func TestLast(t *testing.T) {
	for list, want := range map[string]int{"0-3,8": 0, "": 0, "x": 0, "N": 1, "all,2-N,0-N:1/N": 1} {
		asked := 0
		_, _ = Parse(list, 16, func() (int, error) { asked++; return 11, nil })
		if asked != want {
			t.Errorf("%q: asked %d times, want %d", list, asked, want)
		}
	}
	unknown := errors.New("no such file")
	for list, want := range map[string]string{
		"all": `CPU list, character 1: expected numbers, as the last CPU of this machine is not known (no such file), found "all"`,
		"0,N": `CPU list, character 3: expected numbers, as the last CPU of this machine is not known (no such file), found "N"`,
	} {
		got, err := Parse(list, 16, func() (int, error) { return 0, unknown })
		if got != nil || !errors.Is(err, unknown) || err.Error() != want {
			t.Errorf("%q without a known machine: %v, %v", list, got, err)
		}
	}
	for _, last := range []int{-1, 16} {
		_, err := Parse("all", 16, func() (int, error) { return last, nil })
		if want := fmt.Sprintf("the last CPU of this machine is %d, not from 0 to 15", last); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("last CPU %d: %v", last, err)
		}
	}
}

// TestHostile: no list costs more than its bytes do.
func TestHostile(t *testing.T) {
	begin := time.Now()
	for _, list := range []string{
		"0-999999999", "999999999999999999999999", "0-4294967295:1/4294967295",
		strings.Repeat("9", 1<<20), strings.Repeat(",", 1<<20), strings.Repeat("x", LenMax),
		strings.Repeat("0-8191,", LenMax/7), strings.Repeat("0-N:1/1,", LenMax/8),
	} {
		_, _ = ParseSome(list, Max)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestLenMax: of all sets, those whose ranges take most can be read.
func TestLenMax(t *testing.T) {
	for _, list := range []string{"all:1/2", "all:2/3", "1-N:1/2", "1-N:2/3", "2-N:2/3", "all"} {
		c, err := ParseSome(list, Max)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSome(format(c), Max)
		if err != nil || !slices.Equal(c, again) {
			t.Errorf("%s: %d bytes; read back: %v", list, len(format(c)), err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct{ rest, want string }{
		{"", "the end"},
		{"x3,4", `"x3"`},
		{",4", `","`},
		{"a\u00a0b c", `"a\u00a0b"`},
		{strings.Repeat("y", 24), `"yyyyyyyyyyyyyyyyyyyyyyyy"`},
		{strings.Repeat("y", 24) + ",1", `"yyyyyyyyyyyyyyyyyyyyyyyy"`},
		{strings.Repeat("y", 25), `"yyyyyyyyyyyyyyyyyyyyyyyy"...`},
		{strings.Repeat("y", 50), `"yyyyyyyyyyyyyyyyyyyyyyyy"...`},
		{"y" + strings.Repeat("é", 12), `"yééééééééééé"...`}, // no half of a letter
	} {
		if got := Quote(c.rest, separates); got != c.want {
			t.Errorf("%q: got %s, want %s", c.rest, got, c.want)
		}
	}
}
