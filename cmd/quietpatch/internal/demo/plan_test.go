package demo

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/affinity"
)

func TestPlanRows(t *testing.T) {
	both := []string{"alias", "procmem"} // in any order
	for _, tc := range []struct {
		name  string
		o     Options
		works []string
		want  string
	}{
		{"all", Options{}, both, "store on procmem; int3 on procmem; one-at-a-time on procmem; store on alias; int3 on alias; one-at-a-time on alias"},
		{"one backend works", Options{}, []string{"procmem"}, "store on procmem; int3 on procmem; one-at-a-time on procmem"},
		{"nothing works", Options{}, nil, "reads from memory"},
		{"nothing works, filtered", Options{Strategies: []string{"int3"}, Backends: []string{"alias"}}, nil, "reads from memory"},
		{"strategy", Options{Strategies: []string{"int3"}}, both, "int3 on procmem; int3 on alias"},
		{"backend", Options{Backends: []string{"alias"}}, both, "store on alias; int3 on alias; one-at-a-time on alias"},
		{"both filters", Options{Strategies: []string{"store"}, Backends: []string{"alias"}}, both, "store on alias"},
		{"none", Options{Backends: []string{"none"}}, both, "reads from memory"},
		{"none and alias", Options{Strategies: []string{"store"}, Backends: []string{"none", "alias"}}, both, "store on alias; reads from memory"},
	} {
		rows, err := planRows(tc.o, tc.works)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		var names []string
		for _, r := range rows {
			names = append(names, r.String())
		}
		if got := strings.Join(names, "; "); got != tc.want {
			t.Errorf("%s: rows %s; want %s", tc.name, got, tc.want)
		}
	}
	_, err := planRows(Options{Backends: []string{"alias"}}, []string{"procmem"})
	if err == nil || !strings.Contains(err.Error(), "procmem") {
		t.Errorf("a backend that does not work: error %v, want one that names procmem", err)
	}
}

func TestValidate(t *testing.T) {
	good := Options{RowDuration: time.Second, BusyCPU: -1, Strategies: Strategies(), Backends: Backends()}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, o := range map[string]Options{
		"zero duration": {},
		"short":         {RowDuration: time.Millisecond},
		"strategy":      {RowDuration: time.Second, Strategies: []string{"stopworld"}},
		"backend":       {RowDuration: time.Second, Backends: []string{"mprotect"}},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestChooseCPUs(t *testing.T) {
	for _, tc := range []struct {
		allowed    []int
		ask        int
		busy, flip int
		wantErr    bool
	}{
		{allowed: []int{0, 1}, ask: -1, busy: 1, flip: 0},
		{allowed: []int{0}, ask: -1, busy: 0, flip: 0},
		{allowed: []int{2, 5, 9}, ask: -1, busy: 9, flip: 2},
		{allowed: []int{2, 5, 9}, ask: 5, busy: 5, flip: 2},
		{allowed: []int{2, 5, 9}, ask: 2, busy: 2, flip: 9},
		{allowed: []int{3}, ask: 3, busy: 3, flip: 3},
		{allowed: []int{2, 5, 9}, ask: 3, wantErr: true},
		{wantErr: true, ask: -1},
	} {
		busy, flip, err := chooseCPUs(tc.allowed, tc.ask)
		if (err != nil) != tc.wantErr || busy != tc.busy || flip != tc.flip {
			t.Errorf("CPUs %v, ask %d: busy %d, flip %d, error %v; want %d, %d", tc.allowed, tc.ask, busy, flip, err, tc.busy, tc.flip)
		}
	}
}

func TestAllowedCPUs(t *testing.T) {
	cpus, err := affinity.Allowed()
	if err != nil || len(cpus) == 0 || !slices.IsSorted(cpus) {
		t.Errorf("CPUs %v, error %v; want at least one, in order", cpus, err)
	}
}
