package bench

import (
	"encoding/json"
	"io"
)

// A CallResult is what a run has measured. The JSON form is stable. Times are those
// of the process on its CPUs, and medians of the processes that measured them, but
// for workloads, where they are means.
type CallResult struct {
	Library     string       `json:"library"`     // a folder, or a version
	BuildNS     int64        `json:"build_ns"`    // of both programs
	LoadBefore  float64      `json:"load"`        // load average when the run began
	MicroCalls  int          `json:"micro_calls"` // that the times of micro and staticcall are for
	Micro       []MicroCase  `json:"micro"`
	StaticCalls []StaticCase `json:"staticcall"`
	Workloads   []Workload   `json:"workloads"`
	Goals       []Goal       `json:"goals"`
	Notes       []string     `json:"notes"`
	Interrupted bool         `json:"interrupted"`
}

// A MicroCase is a loop of calls of interface methods, and the direct calls that a
// programmer would write instead, in a plain build.
type MicroCase struct {
	Case        string  `json:"case"`
	DirectNS    float64 `json:"direct_ns"`
	PlainNS     float64 `json:"plain_ns"`
	RetpolineNS float64 `json:"retpoline_ns"`
	PromotedNS  float64 `json:"promoted_ns"`
	N           int     `json:"n"`
}

// A StaticCase is a loop of calls of an implementation that was chosen at run time.
type StaticCase struct {
	Case        string  `json:"case"`
	PlainNS     float64 `json:"plain_ns"`
	RetpolineNS float64 `json:"retpoline_ns"`
	N           int     `json:"n"`
}

// A Workload is real work. ChangePercent is that of promotion in the program with
// retpolines: below 0 is faster. P is that of Welch's t-test for it, and N the number
// of samples, and of processes, on each side.
type Workload struct {
	Name          string     `json:"name"`
	PlainNS       float64    `json:"plain_ns"`
	RetpolineNS   float64    `json:"retpoline_ns"`
	PromotedNS    float64    `json:"promoted_ns"`
	ChangePercent float64    `json:"change_percent"`
	P             float64    `json:"p"`
	N             int        `json:"n"`
	CIPercent     [2]float64 `json:"ci_percent"`     // 95%, of ChangePercent
	PromotedCalls int        `json:"promoted_calls"` // of the program, median
	LearnNS       int64      `json:"learn_ns"`       // until they were, median
}

// A Goal is what the project wants to reach.
type Goal struct {
	Goal  string `json:"goal"`
	Found string `json:"found"`
	Holds bool   `json:"holds"`
}

// WriteJSON writes one JSON object.
func (r *CallResult) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
