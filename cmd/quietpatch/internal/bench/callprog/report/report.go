// Package report is what the program of `quietpatch bench calls` prints, for the
// command that reads it.
//
// Place in the flow: package callprog fills it in, package bench decodes it. It
// may import nothing, so that the command links none of the program's work.
package report

// NotMeasured stands in times that were not asked for.
const NotMeasured = -1

// MicroCalls is how many calls the times of Direct, Micro and Static are for.
const MicroCalls = 1000

// What a process can be asked for.
const (
	PartMicro = "micro" // Direct, Micro and Static
	PartWork  = "work"  // Workloads
)

// Protobuf is the workload that needs a module to be downloaded.
const Protobuf = "protobuf"

// Workloads returns the names of all workloads, in their order.
func Workloads() []string {
	return []string{"json-encode", "json-decode", "flate", "http", "template", "sort", "sql", "regexp", "fmt", "go-format", Protobuf}
}

// A Report is what one process has measured, each thing once.
type Report struct {
	Reason    string   `json:"reason,omitempty"` // why nothing could be promoted
	Direct    []Sample `json:"direct"`           // the cases of Micro, by direct calls
	Micro     []Sample `json:"micro"`
	Static    []Sample `json:"static"`
	Workloads []Sample `json:"workloads"`
}

// A Sample is the time that one thing took on the CPU.
type Sample struct {
	Name       string  `json:"name"`
	NS         float64 `json:"ns"`
	PromotedNS float64 `json:"promoted_ns"` // the same while calls were promoted
	// The rest is about the promotion.
	Calls     int   `json:"calls"`     // that were found in the program
	Promoted  int   `json:"promoted"`  // of them, in the end
	LearnNS   int64 `json:"learn_ns"`  // from Start until Settle returned
	StartNS   int64 `json:"start_ns"`  // of that, Start alone
	Unsettled bool  `json:"unsettled"` // the time for learning ran out
}
