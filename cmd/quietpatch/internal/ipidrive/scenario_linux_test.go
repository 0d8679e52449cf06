package ipidrive

import (
	"os"
	"runtime"
	"testing"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// TestScenarios: the victim receives what the table says. Others can use the CPU, too; a
// scenario that sends more or less by itself does so each time.
func TestScenarios(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("only one CPU")
	}
	const turns, tries = 20, 5
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			seen := make(map[Received]bool)
			for try := 1; ; try++ {
				r := drive(t, Job{Scenario: s.Name, Turns: turns, Victim: 1, Sender: 0})
				t.Logf("%+v", r)
				if !s.Exact || r.Calls == s.PerTurn.Calls*turns && r.Rescheds == s.PerTurn.Rescheds*turns {
					return
				}
				seen[r.Received] = true
				if try == tries && len(seen) == 1 {
					t.Fatalf("received %+v each time, want %+v", r.Received, s.PerTurn.Times(turns))
				}
				if try == tries {
					t.Skipf("in %d tries the CPU never received just %+v: others use it", tries, s.PerTurn.Times(turns))
				}
			}
		})
	}
}

func drive(t *testing.T, j Job) Result {
	t.Helper()
	p, err := Start(j)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if r.PID != p.PID() || r.TID == 0 || r.Job != j {
		t.Errorf("result %+v of process %d, job %+v", r, p.PID(), j)
	}
	if r.Missing != "" {
		t.Skip(r.Missing)
	}
	return r
}

// TestRefused: a job that cannot be done says why.
func TestRefused(t *testing.T) {
	for _, j := range []Job{{Scenario: "none", Victim: 1}, {Scenario: "membarrier", Victim: 1, Sender: 1}, {Scenario: "membarrier", Victim: 1023}} {
		p, err := Start(j)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Finish(); err == nil {
			t.Errorf("%+v: no error", j)
		} else {
			t.Log(err)
		}
	}
}
