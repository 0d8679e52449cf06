//go:build linux

// Command probe runs a scenario of package ipidrive under the eBPF tracer and prints both what
// the victim received and what the tracer saw, as one line of JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipi"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipibpf"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipitrace"
)

func main() {
	ipidrive.Main()
	var j ipidrive.Job
	flag.StringVar(&j.Scenario, "scenario", "", "name")
	flag.IntVar(&j.Turns, "turns", 100, "times that it is done")
	flag.IntVar(&j.Victim, "victim", 2, "CPU that is interrupted")
	flag.IntVar(&j.Sender, "sender", 0, "CPU that interrupts")
	flag.Parse()
	if err := probe(j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func probe(j ipidrive.Job) error {
	t, err := ipibpf.Open(ipitrace.Options{Victims: ipi.MakeCPUs(j.Victim)})
	if err != nil {
		return err
	}
	defer t.Close()
	p, err := ipidrive.Start(j)
	if err != nil {
		return err
	}
	r, err := p.Finish()
	if err != nil {
		return err
	}
	s, err := t.Close()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Result   ipidrive.Result
		Snapshot ipi.Snapshot
		Mode     string
		Missing  []string
	}{r, s, t.Mode(), t.Missing()})
}
