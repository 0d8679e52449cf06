package prog

// NotMeasured stands in numbers that this machine does not offer.
const NotMeasured = -1

// What Main can be asked for.
const (
	ModeFlips     = "flips"
	ModeDiscovery = "discovery"
	ModeChecks    = "checks"
)

// StrategyNoWait is the name of a row that flips without a sync, by stores.
const StrategyNoWait = "nowait"

// A Flip is one row: flips of one group by one strategy on one backend.
type Flip struct {
	Sites       int     `json:"sites"`
	Keys        int     `json:"keys"` // in one batch, if more than one
	Layout      string  `json:"layout"`
	Backend     string  `json:"backend"`
	Strategy    string  `json:"strategy"`
	FlipNS      int64   `json:"flip_ns"` // median
	FlipNSP10   int64   `json:"flip_ns_p10"`
	FlipNSP90   int64   `json:"flip_ns_p90"`
	SyncNS      int64   `json:"sync_ns"` // a bare sync, between these flips; median
	RatioToSync float64 `json:"ratio_to_sync"`
	NSPerSite   float64 `json:"ns_per_site"`
	Syncs       float64 `json:"syncs"`         // per flip, as the library counts them
	IPIs        float64 `json:"ipis"`          // call IPIs at the busy CPU per flip, without the noise
	IPIsRaw     float64 `json:"ipis_raw"`      // as counted
	IPIsPerSync float64 `json:"ipis_per_sync"` // of the bare syncs: 1 if the busy CPU was always busy
	Flips       int     `json:"flips"`         // that count
	Left        int     `json:"flips_left_out"`
	Quiet       bool    `json:"quiet"`    // other programs left both CPUs alone in enough flips
	Verified    int     `json:"verified"` // sites that showed the right value after the row, on and off
}

// Discovery is what the first use of the keys costs.
type Discovery struct {
	TextBytes    int     `json:"text_bytes"`
	Keys         int     `json:"keys"`
	Sites        int     `json:"sites"`
	NS           int64   `json:"ns"`             // the search for all keys
	NSPer100MB   int64   `json:"ns_per_100mb"`   // of text
	OneKeyNS     int64   `json:"one_key_ns"`     // a search for one more key
	ArmNS        int64   `json:"arm_ns"`         // search and arming together
	BytesPerSite float64 `json:"bytes_per_site"` // the table of sites
	HeapPerSite  float64 `json:"heap_bytes_per_site"`
}

// A Check is what one check costs, without the loop around it.
type Check struct {
	Case    string  `json:"case"`
	OffNS   float64 `json:"off_ns"`
	OnNS    float64 `json:"on_ns"`
	OffIQR  float64 `json:"off_iqr_ns"` // the middle half of the rounds lies within so much
	OnIQR   float64 `json:"on_iqr_ns"`
	LoopOff float64 `json:"loop_off_ns"` // one turn of the loop without checks, subtracted
	LoopOn  float64 `json:"loop_on_ns"`
}

// A Report is what one process of the program prints.
type Report struct {
	Reason    string     `json:"reason,omitempty"` // why nothing could be measured
	SyncNS    []int64    `json:"sync_ns,omitempty"`
	NoiseIPIs float64    `json:"noise_ipis"` // per second at the busy CPU, without flips
	Flips     []Flip     `json:"flips,omitempty"`
	Discovery *Discovery `json:"discovery,omitempty"`
	Checks    []Check    `json:"checks,omitempty"`
	Notes     []string   `json:"notes,omitempty"`
}
