package main

import (
	"fmt"
	"os"

	"github.com/quietpatch/quietpatch"
	"github.com/quietpatch/quietpatch/staticcall"
)

func init() { programs["callsites"] = callsSites }

// callSites returns the sites of the calls by name.
func callSites() map[string][]staticcall.Site {
	out := map[string][]staticcall.Site{}
	for name, sites := range map[string]func() ([]staticcall.Site, error){"prog.work": work.Sites, "prog.note": note.Sites} {
		ss, err := sites()
		if err != nil {
			fmt.Fprintln(os.Stderr, "prog: no sites:", err)
		}
		out[name] = ss
	}
	return out
}

// callsSitesReport is what `prog callsites` prints.
type callsSitesReport struct {
	Calls  []staticcall.Info            `json:"calls"`
	Sites  map[string][]staticcall.Site `json:"sites"`
	RWX    []string                     `json:"rwx"`
	Status quietpatch.State             `json:"status"`
}

// callsSites arms all sites, with closures, so that there are stubs.
func callsSites([]string) (any, error) {
	w, _ := newWork(kindClosure, 17)
	if err := work.Update(w); err != nil {
		return nil, err
	}
	if err := note.Update(newBox(18).note); err != nil {
		return nil, err
	}
	return callsSitesReport{Calls: staticcall.Calls(), Sites: callSites(), RWX: writableCode(), Status: quietpatch.Status()}, nil
}
