package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func simJSON(t *testing.T, wantCode int, result any, args ...string) {
	t.Helper()
	out, errs, code := runCommand(t, append([]string{"sim", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), result); err != nil || code != wantCode {
		t.Fatalf("exit code %d, expected %d; %v\n%s%s", code, wantCode, err, out, errs)
	}
}

func TestSimMutants(t *testing.T) {
	var r struct {
		Mutants []struct {
			Name   string
			Caught bool
			By     string
			Steps  int
		}
	}
	simJSON(t, exitOK, &r, "--mutants")
	if len(r.Mutants) < 50 {
		t.Errorf("%d mutants, expected 50 at least", len(r.Mutants))
	}
	for _, m := range r.Mutants {
		if !m.Caught || m.By == "" || m.Steps == 0 {
			t.Errorf("%+v", m)
		}
	}
}

// TestSimExhaustive explores some worlds; internal/sim explores all.
func TestSimExhaustive(t *testing.T) {
	var r struct {
		Worlds []struct {
			Name       string
			States     int
			Violations int
		}
		States     int
		Violations int
	}
	simJSON(t, exitOK, &r, "--exhaustive", "--only", "store: 2 CPUs, 1 site")
	if len(r.Worlds) != 4 || r.States < 5_000 || r.Violations != 0 || r.Worlds[0].States == 0 || r.Worlds[0].Name == "" {
		t.Errorf("%+v", r)
	}
	if out, _, _ := runCommand(t, "sim", "--exhaustive", "--only", "store: 2 CPUs, 1 site"); !strings.Contains(out, r.Worlds[3].Name) || !strings.Contains(out, "0 violations") {
		t.Errorf("table:\n%s", out)
	}
}

type walks struct {
	Seed       string
	Walks      int
	Traps      int
	Violations int
	Failed     []struct {
		Repeat    string
		Violation struct {
			By    string
			Trace []struct{ What string }
		}
	}
}

func TestSimSeed(t *testing.T) {
	var r walks
	simJSON(t, exitOK, &r, "--seed", "d33fdfc09e8a1c2b3c4d5e6f708192a3b4c5d6e7", "--walks", "100")
	if r.Seed != "0xd33fdfc09e8a1c2b" || r.Walks != 100 || r.Traps == 0 || r.Violations != 0 {
		t.Errorf("%+v", r)
	}
}

// TestSimSeedRepeats: the command that is printed shows the same violation.
func TestSimSeedRepeats(t *testing.T) {
	var r walks
	simJSON(t, exitFailed, &r, "--seed", "7", "--walks", "50", "--mutant", "without-3s")
	if len(r.Failed) == 0 {
		t.Fatalf("%+v", r)
	}
	f := r.Failed[0]
	var again walks
	simJSON(t, exitFailed, &again, strings.Fields(f.Repeat)[2:]...)
	if len(again.Failed) != 1 || len(f.Violation.Trace) == 0 || len(again.Failed[0].Violation.Trace) != len(f.Violation.Trace) {
		t.Errorf("%s: %+v", f.Repeat, again)
	}
	out, _, _ := runCommand(t, strings.Fields(f.Repeat)[1:]...)
	if !strings.Contains(out, "CPU0") || !strings.Contains(out, f.Repeat) || !strings.Contains(out, "=> CPU") {
		t.Errorf("no trace in columns:\n%s", out)
	}
}

func TestSimScenario(t *testing.T) {
	type result struct {
		Letter string
		Wrong  bool `json:"wrong_protocol"`
		By     string
		Trace  []struct{ What string }
	}
	var late, torn result
	simJSON(t, exitOK, &late, "--scenario", "late-trap")
	if late.Letter != "E" || late.Wrong || late.By != "" || len(late.Trace) < 10 {
		t.Errorf("%+v", late)
	}
	simJSON(t, exitOK, &torn, "--scenario", "b")
	if torn.Letter != "B" || !torn.Wrong || torn.By != "torn" {
		t.Errorf("%+v", torn)
	}
	if out, _, code := runCommand(t, "sim", "--scenarios"); code != exitOK || !strings.Contains(out, "late-trap") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestSimMutant(t *testing.T) {
	out, errs, code := runCommand(t, "sim", "--mutant", "without-2s")
	if code != exitFailed || !strings.Contains(out, "torn") || !strings.Contains(errs, "as it must") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestSimUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                              "give one of",
		"--exhaustive --mutants":        "give one of",
		"extra":                         "extra",
		"--seed nonsense":               "nonsense",
		"--seed 0x":                     "0x",
		"--seed 1 --walks 0":            "one walk at least",
		"--exhaustive --walks 5":        "a --seed",
		"--mutant nonsense":             "without-2s",
		"--scenario nonsense":           "late-trap",
		"--scenario A --seed 1":         "give one of",
		"--exhaustive --mutant nothing": "no mutant",
		"--exhaustive --only nothing":   "no world",
		"--mutants --only store":        "belongs to --exhaustive",
		"--mutants --cpus 3":            "--cpus",
		"--scale --mutants":             "give one of",
	} {
		_, errs, code := runCommand(t, append([]string{"sim"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, expected %d\n%s", args, code, exitUsage, errs)
		}
	}
}
