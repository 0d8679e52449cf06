//go:build linux

// Command drive runs a scenario of package ipidrive and prints what the victim received, as
// one line of JSON. Tests run it in guests, and scripts under other tracers. Without
// arguments it lists the scenarios.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/ipidrive"
)

func main() {
	ipidrive.Main()
	var j ipidrive.Job
	flag.StringVar(&j.Scenario, "scenario", "", "name")
	flag.IntVar(&j.Turns, "turns", 100, "times that it is done")
	flag.IntVar(&j.Victim, "victim", 1, "CPU that is interrupted")
	flag.IntVar(&j.Sender, "sender", 0, "CPU that interrupts")
	flag.Parse()
	if j.Scenario == "" {
		for _, s := range ipidrive.Scenarios() {
			fmt.Printf("%-16s %s\n", s.Name, s.Does)
		}
		return
	}
	if err := drive(j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func drive(j ipidrive.Job) error {
	p, err := ipidrive.Start(j)
	if err != nil {
		return err
	}
	r, err := p.Finish()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
