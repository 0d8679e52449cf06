package scale

// Names of the parameters.
const (
	SyncBase    = "sync_base_ns"
	IPISend     = "ipi_send_ns"
	IPILatency  = "ipi_latency_ns"
	IPIPause    = "ipi_pause_ns"
	Serialize   = "serialize_ns"
	Defer       = "defer_ns"
	Ready       = "ready_ns"
	Compare     = "compare_ns"
	Publish     = "publish_ns"
	Engine      = "engine_ns"
	PokeProcmem = "poke_procmem_ns"
	TailProcmem = "tail_procmem_ns"
	PokeAlias   = "poke_alias_ns"
	TailAlias   = "tail_alias_ns"
	Trap        = "trap_ns"
	CheckRate   = "check_rate_per_s"
)

// Where a parameter comes from.
const (
	SourceBuiltin  = "built-in"
	SourceMeasured = "measured"
	SourceFitted   = "fitted" // to the flips of the validation
	SourceAssumed  = "assumed"
)

// Param is one number of the cost model.
type Param struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"` // the median, where it was measured
	Unit    string  `json:"unit"`
	Meaning string  `json:"meaning"`
	Source  string  `json:"source"`
	// The spread of the rounds: 10 and 90 percent. 0 rounds: the value is derived
	// from others, or assumed.
	P10    float64 `json:"p10"`
	P90    float64 `json:"p90"`
	Rounds int     `json:"rounds"`
	Note   string  `json:"note,omitempty"`
}

// Params is a full set of parameters, in the order in which they are printed.
type Params []Param

// At returns a parameter by name, and the zero Param for a name that it does
// not know.
func (ps Params) At(name string) Param {
	for _, p := range ps {
		if p.Name == name {
			return p
		}
	}
	return Param{}
}

// Set replaces a parameter by what was measured.
func (ps Params) Set(name string, value, p10, p90 float64, rounds int) {
	ps.put(Param{Name: name, Value: value, Source: SourceMeasured, P10: p10, P90: p90, Rounds: rounds})
}

// put replaces value, source and spread of the parameter of that name. What was
// remarked about the old value is gone.
func (ps Params) put(q Param) {
	for i, p := range ps {
		if p.Name == q.Name {
			q.Unit, q.Meaning = p.Unit, p.Meaning
			ps[i] = q
		}
	}
}

// costs is the set as the model uses it, for one backend.
type costs struct {
	syncBase, send, latency, pause, serialize, deferral float64
	ready, compare, publish, engine, poke, tail, trap   float64
	checkRate                                           float64 // per ns
}

// Backends lists the backends that the model knows.
func Backends() []string { return []string{backendProcmem, backendAlias} }

// Names as in package text, which does not have them on other systems.
const (
	backendProcmem = "procmem"
	backendAlias   = "alias"
)

func (ps Params) costs(backend string) costs {
	v := func(name string) float64 { return ps.At(name).Value }
	c := costs{
		syncBase: v(SyncBase), send: v(IPISend), latency: v(IPILatency), pause: v(IPIPause),
		serialize: v(Serialize), deferral: v(Defer), ready: v(Ready), compare: v(Compare),
		publish: v(Publish), engine: v(Engine), poke: v(PokeProcmem), tail: v(TailProcmem), trap: v(Trap),
		checkRate: v(CheckRate) / 1e9,
	}
	if backend == backendAlias {
		c.poke, c.tail = v(PokeAlias), v(TailAlias)
	}
	return c
}
