package scale

import (
	"encoding/json"
	"io"
)

// Result is the study.
type Result struct {
	Params     Params `json:"parameters"`
	Calibrated bool   `json:"calibrated"`
	// Machine says where the parameters were measured, and Reason why they were
	// not measured here although that was asked for.
	Machine     string       `json:"machine"`
	Reason      string       `json:"not_calibrated_reason,omitempty"`
	Rows        []Row        `json:"rows"`
	Validation  []Validation `json:"validation"`
	Published   []Published  `json:"published"`
	Assumptions []string     `json:"assumptions"`
	LeavesOut   []string     `json:"leaves_out"`
	Notes       []string     `json:"notes"`

	options Options
	model   *model
}

// Validation compares the model with real flips on this machine.
type Validation struct {
	CPUs     int    `json:"cpus"`
	Sites    int    `json:"sites"`
	Strategy string `json:"strategy"`
	Backend  string `json:"backend"`
	// Flips that count: other programs left both CPUs alone meanwhile.
	Flips int `json:"flips"`
	Made  int `json:"flips_made"`
	// Medians of the flips, and the spread.
	MeasuredNs   float64 `json:"measured_ns"`
	MeasuredP10  float64 `json:"measured_p10_ns"`
	MeasuredP90  float64 `json:"measured_p90_ns"`
	PredictedNs  float64 `json:"predicted_ns"`
	Ratio        float64 `json:"predicted_to_measured"`
	Syncs        float64 `json:"measured_syncs"` // per flip
	PredictSyncs int     `json:"predicted_syncs"`
	Traps        float64 `json:"measured_traps"` // per flip
	PredictTraps float64 `json:"predicted_traps"`
	ChecksPerSec float64 `json:"checks_per_s"` // of the busy thread while nobody flips
	BusyEnough   bool    `json:"busy_enough"`  // false: too few flips count, and the figures are of all others
	// Fitted: engine_ns was taken from this row, so its ratio proves nothing.
	Fitted bool `json:"fitted"`
}

// Measured is what a calibration brings.
type Measured struct {
	Params     Params
	Machine    string
	Validation []Validation // without the predictions
	Notes      []string
}

// Published is a figure that others have measured, and what the model makes of
// the same case.
type Published struct {
	What       string  `json:"what"`
	Source     string  `json:"source"`
	CPUs       int     `json:"cpus"`
	Sites      int     `json:"sites"`
	Strategy   string  `json:"strategy"`
	IPIsPerCPU int     `json:"ipis_per_cpu"`
	Ns         float64 `json:"measured_ns"`
	ModelIPIs  int     `json:"model_ipis_per_cpu"`
	ModelNs    float64 `json:"model_ns"`
	ModelMinNs float64 `json:"model_min_ns"`
	ModelMaxNs float64 `json:"model_max_ns"`
}

// published are the figures of the kernel's batching series (Daniel Bristot de
// Oliveira, "x86/jump_label: Batch jump label updates", cover letter of
// version 5, 2019): 24 CPUs in two nodes, Intel Xeon 2.27 GHz, a kernel
// compilation with two jobs per CPU running.
var published = []Published{
	{What: "kernel, one site at a time", Source: kernelSeries, CPUs: 24, Sites: 56, Strategy: "one-at-a-time", IPIsPerCPU: 168, Ns: 57e6},
	{What: "kernel, in a batch", Source: kernelSeries, CPUs: 24, Sites: 56, Strategy: "int3", IPIsPerCPU: 3, Ns: 1.4e6},
}

const kernelSeries = "x86/jump_label: Batch jump label updates, v5, 2019: 24 CPUs, Xeon 2.27 GHz, under a kernel compilation"

// Run models all rows. With measured == nil it uses the built-in parameters.
func Run(o Options, measured *Measured) (*Result, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &Result{
		Params: Builtin(), Machine: BuiltinMachine, Validation: []Validation{}, Notes: []string{},
		Assumptions: assumptions(), LeavesOut: leavesOut(), options: o,
	}
	if measured != nil {
		r.Params, r.Machine, r.Calibrated = measured.Params, measured.Machine, true
		r.Validation = append(r.Validation, measured.Validation...)
		r.Notes = append(r.Notes, measured.Notes...)
	}
	r.model = newModel(r.Params)
	if err := r.fitEngine(); err != nil {
		return nil, err
	}
	var err error
	if r.Rows, err = r.model.rows(o); err != nil {
		return nil, err
	}
	if err := r.predict(); err != nil {
		return nil, err
	}
	if err := r.comparePublished(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Result) comparePublished() error {
	for _, p := range published {
		v, _ := variantOf(p.Strategy)
		// The kernel writes through a mapping of its own, as alias does.
		row, err := r.model.row(p.CPUs, 0, p.Sites, v, backendAlias)
		if err != nil {
			return err
		}
		p.ModelIPIs = row.IPIsPerCPU
		p.ModelNs, p.ModelMinNs, p.ModelMaxNs = row.FlipNs, row.FlipMinNs, row.FlipMaxNs
		r.Published = append(r.Published, p)
	}
	return nil
}

// WriteJSON writes the result as one object.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
