package protocol

// Strategy is how bytes reach the text.
type Strategy uint8

const (
	// Store writes the changed byte of every site with one store and syncs once.
	Store Strategy = iota + 1
	// Int3 shields every site of a chunk with a trap byte while it changes.
	Int3
	// OneAtATime is Int3 with chunks of one site: what a batch saves.
	OneAtATime
)

// String returns the name used in options, logs and JSON.
func (s Strategy) String() string {
	switch s {
	case Store:
		return "store"
	case Int3:
		return "int3"
	case OneAtATime:
		return "one-at-a-time"
	}
	return "strategy(?)"
}

// Step is one numbered step of the protocol. The numbers are those of the
// package comment and of docs/PROTOCOL.md.
type Step uint8

const (
	StepCheck     Step = iota // 0: compare, write nothing
	StepPublish               // 1: publish the vector
	StepTrap                  // 2: CC over the first bytes
	StepTrapSync              // 2s
	StepTail                  // 3: all bytes but the first
	StepTailSync              // 3s
	StepHead                  // 4: the first bytes
	StepHeadSync              // 4s
	StepRetire                // 5: retire the vector
	StepStore                 // S: one store per site
	StepStoreSync             // Ss
)

var stepNames = [...]string{
	"0 check", "1 publish", "2 trap", "2s sync", "3 tail", "3s sync",
	"4 head", "4s sync", "5 retire", "S store", "Ss sync",
}

// String returns the step's number and name, as in docs/PROTOCOL.md.
func (s Step) String() string {
	if int(s) < len(stepNames) {
		return stepNames[s]
	}
	return "step(?)"
}

// Sync reports whether the step is a sync.
func (s Step) Sync() bool {
	return s == StepTrapSync || s == StepTailSync || s == StepHeadSync || s == StepStoreSync
}

// Writes reports whether the step writes bytes of sites.
func (s Step) Writes() bool {
	return s == StepTrap || s == StepTail || s == StepHead || s == StepStore
}

// Dir is the direction of an effect.
type Dir uint8

const (
	// Forward goes from the old bytes to the new ones. Bytes are compared
	// strictly: they must be exactly what the steps so far have left there.
	Forward Dir = iota
	// Back goes to the old bytes. A byte may be found old, new, or, at the
	// head of a site, the trap byte: the failed step may have got that far.
	Back
)

// String returns "forward" or "back".
func (d Dir) String() string {
	if d == Back {
		return "back"
	}
	return "forward"
}

// Effect is what has to be done now: one step for the sites [From, To).
//
// Publish means: a thread that hits a trap byte of these sites goes on as the
// new instruction would (Forward), or as the old one would (Back).
type Effect struct {
	Step     Step
	Dir      Dir
	From, To int
}

// Result is what came of an effect.
type Result struct {
	// Done is how many sites, counted from Effect.From, are finished. It
	// is used only when Err is not nil: the site From+Done failed.
	Done int
	// Touched: the site that failed may have been written, in part or whole.
	// Not touched means that its bytes are not known to be ours: they were
	// not what was expected, and the way back must leave them alone.
	Touched bool
	// Err is nil when the effect was carried out for all its sites.
	Err error
}

// Outcome is how a plan ended.
type Outcome struct {
	// Err is the first failure; nil means every site shows its new bytes.
	Err error
	// Site and Step say where Err happened. Site is -1 for a sync.
	Site int
	Step Step
	// Unsynced: the old bytes are back but the sync behind them failed, so a
	// CPU may show the new value for a while.
	Unsynced bool
	// Stuck: the text could be neither changed nor put back. The vector is
	// still published, so trapped sites go on working. See [Machine.Resume].
	Stuck bool
	// StuckErr is why.
	StuckErr error
}
