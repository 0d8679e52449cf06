package cpulist

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var form = regexp.MustCompile(`^(?:((?i:all))|(N|[0-9]+)(?:-(N|[0-9]+))?)(?::(N|[0-9]+)/(N|[0-9]+))?$`)

// reference says in another way what Parse says; nil is no list.
func reference(list string, n, last int) []bool {
	in := make([]bool, n)
	value := func(s string, most int) int {
		if s == "N" {
			return last
		}
		v, _ := new(big.Int).SetString(s, 10)
		if v.Cmp(big.NewInt(int64(most))) > 0 {
			return -1
		}
		return int(v.Int64())
	}
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(", \t\n\v\f\r", r) }) {
		m := form.FindStringSubmatch(word)
		if m == nil || m[4] != "" && m[1] == "" && m[3] == "" {
			return nil // only ranges have groups
		}
		lo, hi, used, group := 0, last, 1, 1
		if m[1] == "" {
			lo = value(m[2], n-1)
			hi = lo
		}
		if m[3] != "" {
			hi = value(m[3], n-1)
		}
		if m[4] != "" {
			used, group = value(m[4], 1<<20), value(m[5], 1<<20)
		}
		if lo < 0 || hi < lo || used < 1 || group < used {
			return nil
		}
		for cpu := lo; cpu <= hi; cpu++ {
			in[cpu] = in[cpu] || (cpu-lo)%group < used
		}
	}
	return in
}

// FuzzParse compares with a reference. An error points into the list.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "3", "0-3,8", "0-15:2/4", "all", "ALL:2/3", "2-N:1/3", " 1 ,\t2\n", "0-999999999", "0-3-5", "é", "5-1", "0:1/2", "all:0/0",
		"0-N:N/N", "N:1/2", "1-2:4294967297/4294967297", "9,1,,x", "alln", "1\u00a0", "0-9:1/1048577",
	} {
		f.Add(s, uint16(16), uint16(11))
		f.Add(s, uint16(1), uint16(0))
	}
	f.Fuzz(func(t *testing.T, list string, most, highest uint16) {
		n := int(most)%Max + 1
		last := int(highest) % n
		if len(list) > LenMax {
			t.Skip()
		}
		want := reference(list, n, last)
		got, err := Parse(list, n, func() (int, error) { return last, nil })
		if (err == nil) != (want != nil) {
			t.Fatalf("%q, %d CPUs, the last of them %d: %v; the reference takes it for %v", list, n, last, err, want)
		}
		if err != nil {
			if e := err.(*Error); e.At < 0 || e.At > len(list) || e.Expected == "" || (e.Found == "the end") != (e.At == len(list)) || len(e.Found) > 150 {
				t.Fatalf("%q: %+v", list, e)
			}
			return
		}
		var numbers []int
		for cpu, is := range want {
			if is {
				numbers = append(numbers, cpu)
			}
		}
		if !slices.Equal(got, numbers) {
			t.Fatalf("%q, %d CPUs, the last of them %d: %v, want %v", list, n, last, got, numbers)
		}
	})
}
