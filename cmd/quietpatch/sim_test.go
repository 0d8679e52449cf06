package main

import (
	"encoding/json"
	"testing"
)

func TestSimMutants(t *testing.T) {
	out, errs, code := runCommand(t, "sim", "--mutants", "--json")
	var r struct {
		Mutants []struct {
			Name   string
			Caught bool
			By     string
			Steps  int
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if len(r.Mutants) < 15 {
		t.Errorf("%d mutants, expected 15 at least", len(r.Mutants))
	}
	for _, m := range r.Mutants {
		if !m.Caught || m.By == "" || m.Steps == 0 {
			t.Errorf("%+v", m)
		}
	}
}

func TestSimExhaustive(t *testing.T) {
	if testing.Short() {
		t.Skip("short: exploring takes half a minute; internal/sim does it, too")
	}
	out, errs, code := runCommand(t, "sim", "--exhaustive", "--json")
	var r struct {
		Worlds     []struct{ Name string }
		States     int
		Violations int
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK || r.Violations != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if len(r.Worlds) < 40 || r.States < 1_000_000 {
		t.Errorf("%d worlds, %d states", len(r.Worlds), r.States)
	}
}

func TestSimUsage(t *testing.T) {
	for _, args := range [][]string{{"sim"}, {"sim", "--exhaustive", "--mutants"}, {"sim", "extra"}} {
		if _, _, code := runCommand(t, args...); code != exitUsage {
			t.Errorf("%q: exit code %d, expected %d", args, code, exitUsage)
		}
	}
}
