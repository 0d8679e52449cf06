package isolated

import (
	"encoding/json"
	"io"
)

// byInterrupts is how IPIs are counted where it cannot be seen who sent them.
const byInterrupts = "/proc/interrupts: all that came, whoever sent it"

// notMeasured stands in numbers that this machine does not offer.
const notMeasured = -1

// A Result is all that a run has measured. A number that this machine does not offer is -1.
type Result struct {
	IsolatedCPU int   `json:"isolated_cpu"`
	CPUs        []int `json:"cpus"`  // that the process may run on
	Flips       int   `json:"flips"` // asked for, in each of the two phases with work
	Sites       int   `json:"sites"` // armed, of the key that is flipped
	Calls       int   `json:"calls"` // armed, of the call that is led elsewhere

	Noise       Phase `json:"noise"`        // the thread alone, for as long as Deferred took
	Deferred    Phase `json:"deferred"`     // the thread in USER
	NotDeferred Phase `json:"not_deferred"` // the same with the thread in KERNEL

	KernelCrossingNS     int64   `json:"kernel_crossing_ns"`      // median: out of isolation and back, nothing owed
	KernelCrossingOwedNS int64   `json:"kernel_crossing_owed_ns"` // median, after a flip each: a sync is owed
	CrossingsOwed        int     `json:"crossings_owed"`          // of which that is the median
	ReturnNS             int64   `json:"return_ns"`               // out of isolation after Deferred: a sync, and a few of the mappings that wait
	TicksPerNS           float64 `json:"tsc_ticks_per_ns"`

	CountedBy     string `json:"counted_by"` // how IPIs were: of this process alone, or all that came
	Mode          string `json:"mode"`       // live, or memory: no code is changed
	Reason        string `json:"reason"`     // why it is memory
	Strategy      string `json:"strategy"`
	Backend       string `json:"backend"`
	Assurance     string `json:"assurance"`      // what the strategy stands on
	SyncAssurance string `json:"sync_assurance"` // what a sync stands on that leaves the CPU out
	Unspared      string `json:"unspared"`       // why it was not left out, if so

	Violations  uint64 `json:"violations"` // changing sites that the thread ran in isolation
	Violated    string `json:"violated"`   // the last of them
	Strays      uint64 `json:"strays"`     // other threads of the process that could run on the CPU
	Interrupted bool   `json:"interrupted"`

	Verdict  string   `json:"verdict"`  // ok or failed
	Failures []string `json:"failures"` // why it failed
	Notes    []string `json:"notes"`
}

// newResult has nothing measured.
func newResult(flips, cpu int, cpus []int) Result {
	none := Phase{
		CallIPIs: notMeasured, TLBIPIs: notMeasured, RescheduleIPIs: notMeasured, WakeIPIs: notMeasured,
		AllCallIPIs: notMeasured, AllTLBIPIs: notMeasured, AllRescheduleIPIs: notMeasured, TimerTicks: notMeasured,
		GapNSMax: notMeasured, GapNSP9999: notMeasured, GapNSP9999Time: notMeasured, LostNS: notMeasured, StopNSMax: notMeasured, StopNS: notMeasured,
		Slept: notMeasured, Preempted: notMeasured, CPUShare: notMeasured, FlipNS: notMeasured, Gaps: []Bucket{},
	}
	return Result{
		IsolatedCPU: cpu, CPUs: cpus, Flips: flips, Noise: none, Deferred: none, NotDeferred: none,
		KernelCrossingNS: notMeasured, KernelCrossingOwedNS: notMeasured, ReturnNS: notMeasured,
		Failures: []string{}, Notes: []string{},
	}
}

// A Phase is what came to the CPU, and to the thread on it, in one part of the run.
type Phase struct {
	CallIPIs       int64 `json:"call_ipis"` // those that flush the TLB, too
	TLBIPIs        int64 `json:"tlb_ipis"`
	RescheduleIPIs int64 `json:"reschedule_ipis"`
	WakeIPIs       int64 `json:"wake_ipis"` // of the call IPIs, those that woke the thread when Go had stopped it

	// What came to the CPU, whoever sent it.
	AllCallIPIs       int64 `json:"all_call_ipis"`
	AllTLBIPIs        int64 `json:"all_tlb_ipis"`
	AllRescheduleIPIs int64 `json:"all_reschedule_ipis"`
	TimerTicks        int64 `json:"timer_ticks"`

	GapNSMax       int64    `json:"gap_ns_max"`
	GapNSP9999     int64    `json:"gap_ns_p9999"`      // of all gaps between two readings of the time-stamp counter
	GapNSP9999Time int64    `json:"gap_ns_p9999_time"` // of all moments: the gap in which a moment lies
	Readings       uint64   `json:"readings"`
	GapsLong       uint64   `json:"gaps_over_1us"`
	LostNS         int64    `json:"lost_ns"` // in these gaps
	Gaps           []Bucket `json:"gaps"`

	StopsByGo int     `json:"stops_by_go"` // the thread waited in Safepoint; that is no gap
	StopNSMax int64   `json:"stop_ns_max"`
	StopNS    int64   `json:"stop_ns"`   // in all
	Slept     int64   `json:"slept"`     // times the thread slept: in stops; a call IPI wakes it up if the CPU idles
	Preempted int64   `json:"preempted"` // times another thread took the CPU
	CPUShare  float64 `json:"cpu_share"` // of the CPU that the thread had, while Go let it run

	DurationMS    int64  `json:"duration_ms"`
	FlipsDone     int    `json:"flips_done"`
	FlipNS        int64  `json:"flip_ns_median"`
	Retargets     int    `json:"retargets"`
	Unmaps        int    `json:"unmaps"`
	Collections   uint64 `json:"collections"` // by the garbage collector
	Processes     int    `json:"processes"`   // that ran beside it
	Syncs         uint64 `json:"syncs"`       // that the library made
	SyncsDeferred uint64 `json:"syncs_deferred"`
	UnmapsHeld    uint64 `json:"unmaps_deferred"`
	UnmapsForced  uint64 `json:"unmaps_forced"`  // that waited for the thread, and then could not wait any longer
	UnmapsWaiting int    `json:"unmaps_waiting"` // that the thread did not remove when it came back again and again
	FirstError    string `json:"first_error"`    // of the work
}

// A namedPhase is a phase as people call it.
type namedPhase struct {
	name string
	*Phase
}

// phases returns the phases in the order of the table.
func (r *Result) phases() []namedPhase {
	return []namedPhase{{"noise", &r.Noise}, {"deferred", &r.Deferred}, {"not deferred", &r.NotDeferred}}
}

// A Bucket is the gaps from one length to twice that.
type Bucket struct {
	FromNS int64  `json:"from_ns"`
	Count  uint64 `json:"count"`
}

// firstBucketNS is where buckets begin; what is shorter is in one that begins at 0. A
// reading of the counter takes some 10 ns.
const firstBucketNS = 64

// octaves sorts the gaps into buckets of nanoseconds.
func (h *histogram) octaves(ticksPerNS float64) []Bucket {
	out := []Bucket{{}}
	for i, c := range h.counts {
		if c == 0 {
			continue
		}
		ns := float64(low(i)) / ticksPerNS
		b := 0
		for edge := float64(firstBucketNS); ns >= edge; edge *= 2 {
			b++
		}
		for len(out) <= b {
			out = append(out, Bucket{FromNS: firstBucketNS << (len(out) - 1)})
		}
		out[b].Count += c
	}
	return out
}

// fill puts what the thread saw into the phase.
func (p *Phase) fill(h *histogram, ticksPerNS float64) {
	ns := func(ticks float64) int64 { return int64(ticks/ticksPerNS + 0.5) }
	if readings, moments, ok := h.percentiles(99.99); ok {
		p.GapNSMax, p.GapNSP9999, p.GapNSP9999Time = ns(float64(h.max)), ns(float64(readings)), ns(float64(moments))
	}
	p.Readings = h.total()
	n, lost := h.longer(uint64(1000 * ticksPerNS))
	p.GapsLong, p.LostNS = n, ns(lost)
	p.Gaps = h.octaves(ticksPerNS)
}

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
