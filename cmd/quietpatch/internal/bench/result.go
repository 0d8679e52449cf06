package bench

import (
	"encoding/json"
	"io"

	"github.com/quietpatch/quietpatch/cmd/quietpatch/internal/bench/prog"
)

// A Result is what a run has measured. The JSON form is stable.
type Result struct {
	Library     string          `json:"library"`    // a folder, or a version
	BuildNS     int64           `json:"build_ns"`   // of the program
	SyncNS      int64           `json:"sync_ns"`    // a bare sync with one busy CPU, median of the rows
	LoadBefore  float64         `json:"load"`       // load average when the run began
	NoiseIPIs   float64         `json:"noise_ipis"` // per second at the busy CPU, without flips
	Flips       []prog.Flip     `json:"flips"`
	Discovery   *prog.Discovery `json:"discovery"` // median of some processes
	Checks      []prog.Check    `json:"checks"`
	Notes       []string        `json:"notes"`
	Interrupted bool            `json:"interrupted"`
}

// WriteJSON writes one JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
