package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Result is all that a run has measured. Times are in nanoseconds. A number
// that this machine does not offer is -1.
type Result struct {
	Mode            string   `json:"mode"`     // live, or memory when no row changed code
	Reason          string   `json:"reason"`   // why the mode is memory
	CPUs            int      `json:"cpus"`     // that the process may run on
	BusyCPU         int      `json:"busy_cpu"` // whose interrupts are counted
	FlipCPU         int      `json:"flip_cpu"` // where the flips are made
	Key             string   `json:"key"`      // the key that is flipped
	Checks          int      `json:"checks_per_request"`
	Clients         int      `json:"clients"`
	GCPercent       int      `json:"gc_percent"`
	SyncNs          int64    `json:"sync_ns"` // median of one bare sync
	Syncs           int      `json:"sync_samples"`
	NoiseCallIPIs   float64  `json:"noise_call_ipis_per_s"`
	NoiseTLBIPIs    float64  `json:"noise_tlb_ipis_per_s"`
	Requests        uint64   `json:"requests"`         // in the whole run, warm-ups included
	CheckedRequests uint64   `json:"checked_requests"` // no flip touched them, so their number of stages is known
	FailedRequests  uint64   `json:"failed_requests"`
	FirstFailure    string   `json:"first_failure"`
	Errors          int      `json:"errors"` // of the library, in all rows
	Interrupted     bool     `json:"interrupted"`
	Notes           []string `json:"notes"`
	Rows            []Row    `json:"rows"`
}

// A Row is what one strategy on one backend has cost.
type Row struct {
	Strategy           string  `json:"strategy"`
	Backend            string  `json:"backend"`
	Assurance          string  `json:"assurance"`
	Sites              int     `json:"sites"` // armed
	Flips              int     `json:"flips"`
	FlipNsMedian       int64   `json:"flip_ns_median"`
	FlipNsP99          int64   `json:"flip_ns_p99"`
	SyncNs             int64   `json:"sync_ns"`            // a bare sync, measured between the flips of this row
	CallIPIsPerSync    float64 `json:"call_ipis_per_sync"` // of those bare syncs: 1 where the busy CPU is always busy with this process
	RatioToSync        float64 `json:"ratio_to_sync"`
	SyncsPerFlip       float64 `json:"syncs_per_flip"`
	CallIPIsPerFlip    float64 `json:"call_ipis_per_flip"` // on the busy CPU, noise taken away
	TLBIPIsPerFlip     float64 `json:"tlb_ipis_per_flip"`
	CallIPIsPerFlipRaw float64 `json:"call_ipis_per_flip_raw"`
	TLBIPIsPerFlipRaw  float64 `json:"tlb_ipis_per_flip_raw"`
	TrapHits           uint64  `json:"trap_hits"`
	TrapLate           uint64  `json:"trap_late"`
	TrapForeign        uint64  `json:"trap_foreign"`
	Requests           uint64  `json:"requests"` // served while the row ran
	CheckedRequests    uint64  `json:"checked_requests"`
	FailedRequests     uint64  `json:"failed_requests"`
	Errors             int     `json:"errors"`
	FirstError         string  `json:"first_error"`
}

// Failure says what the run found wrong, or nil.
func (r *Result) Failure() error {
	var errs []error
	if r.FailedRequests > 0 {
		errs = append(errs, fmt.Errorf("%d of %d requests failed; the first: %s", r.FailedRequests, r.Requests, r.FirstFailure))
	}
	for _, row := range r.Rows {
		if row.Errors > 0 {
			name := spec{strategy: row.Strategy, backend: row.Backend}
			errs = append(errs, fmt.Errorf("%v: %d errors; the first: %s", name, row.Errors, row.FirstError))
		}
	}
	return errors.Join(errs...)
}

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
