package callprog

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/callprog/report"
)

// TestWorkloads: each runs again and again, and has the name that the command knows.
func TestWorkloads(t *testing.T) {
	jobs, err := chooseWorkloads("")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(report.Workloads(), func(s string) bool { return s == report.Protobuf })
	var got []string
	for _, j := range jobs {
		got = append(got, j.name)
		for range 3 {
			if err := j.run(); err != nil {
				t.Errorf("%s: %v", j.name, err)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("workloads %q, want %q", got, want)
	}
	if jobs, err = chooseWorkloads("sql,sort"); err != nil || len(jobs) != 2 || jobs[0].name != "sort" {
		t.Errorf("two of them: %v, %v", jobs, err)
	}
}

// TestSame: work whose result changes is found out, also in its last bytes.
func TestSame(t *testing.T) {
	text := []byte(strings.Repeat("0123456789abcdef", 100))
	run, err := same(func() ([]byte, error) { return text, nil })
	if err != nil || run() != nil {
		t.Fatal(err, run())
	}
	text[128]++
	if run() == nil {
		t.Error("another byte: no error")
	}
	text[128]--
	text = text[:len(text)-1]
	if run() == nil {
		t.Error("another length: no error")
	}
	if _, err := same(func() ([]byte, error) { return nil, nil }); err == nil {
		t.Error("no result: no error")
	}
}

// TestLoops: the loops call what they are said to call.
func TestLoops(t *testing.T) {
	l := newLists()
	for _, c := range []struct {
		name  string
		list  []adder
		types int
	}{{"one", l.one, 1}, {"two", l.two, 2}, {"sixteen", l.sixteen, 16}} {
		seen := map[adder]int{}
		for _, a := range c.list {
			seen[a]++
		}
		if len(c.list) != calls || len(seen) != c.types {
			t.Errorf("%s: %d calls of %d types", c.name, len(c.list), len(seen))
		}
		for _, n := range seen {
			if n < calls/c.types/2 {
				t.Errorf("%s: not at random: %v", c.name, seen)
			}
		}
	}
	micro, direct := microJobs(l), directJobs(l)
	for i, j := range append(micro, direct...) {
		if err := j.run(); err != nil {
			t.Errorf("job %d, %s: %v", i, j.name, err)
		}
		if want := j.name == "two-random" || j.name == "megamorphic"; j.ordered != want {
			t.Errorf("%s: an order to learn: %v", j.name, j.ordered)
		}
	}
	for i := range micro {
		if micro[i].name != direct[i].name {
			t.Errorf("%s beside %s", micro[i].name, direct[i].name)
		}
	}
}

// TestNewOrder: both targets come up, and the next run has another order.
func TestNewOrder(t *testing.T) {
	r := uint64(1)
	var first, second int
	for i := range 2 * calls {
		r = shift(r)
		if n := int(r >> 63); i < calls {
			first += n
		} else {
			second += n
		}
	}
	if first < 400 || first > 600 || first == second {
		t.Errorf("%d and %d calls of the second target", first, second)
	}
}

func TestStaticJobs(t *testing.T) {
	addVariable, addInterface = addTwo, twoAdder{}
	if err := addCall.Update(addTwo); err != nil {
		t.Fatal(err)
	}
	for _, j := range staticJobs() {
		if err := j.run(); err != nil {
			t.Errorf("%s: %v", j.name, err)
		}
	}
	addVariable = addOne
	if err := staticJobs()[1].run(); err == nil {
		t.Error("the wrong implementation: no error")
	}
}

func TestFast(t *testing.T) {
	var s []float64
	for i := range 100 {
		s = append(s, float64(100-i))
	}
	if got := fast(s); got != 11 {
		t.Errorf("fast %v, want 11", got)
	}
	if got := fast(s[:3]); got != 1 {
		t.Errorf("fast of three: %v, want the fastest, 1", got)
	}
	if got := fast(nil); got != report.NotMeasured {
		t.Errorf("nothing takes %v", got)
	}
}

// TestMeter: the time of one run, however many fill a slice, and errors get out.
func TestMeter(t *testing.T) {
	var runs, work int
	m, err := newMeter(job{name: "spin", run: func() error {
		runs++
		for range 50_000 {
			work++
		}
		return nil
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m.turns < 1 || m.turns > 1000 {
		t.Errorf("%d turns of 10 us at least fill a millisecond", m.turns)
	}
	runs = 0
	ns, err := m.sample(10 * time.Millisecond)
	if err != nil || ns <= 0 || runs < 8*m.turns || ns*float64(runs) < float64(time.Millisecond) || ns*float64(m.turns) > float64(20*sliceTime) {
		t.Errorf("%v ns for each of %d runs, %v", ns, runs, err)
	}
	bad := errors.New("bad")
	m.job.run = func() error { return bad }
	if _, err := m.sample(time.Millisecond); !errors.Is(err, bad) || !strings.Contains(err.Error(), "spin") {
		t.Errorf("%v, want the job's error", err)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-part", "nonsense"}, {"-nonsense"}} {
		if code := Main(args); code == 0 {
			t.Errorf("%q: exit code 0", args)
		}
	}
}
