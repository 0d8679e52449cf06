package callprog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// An order is what the workloads encode, print, sort and store.
type order struct {
	ID       int64             `json:"id"`
	Customer string            `json:"customer"`
	Email    *string           `json:"email,omitempty"`
	Placed   time.Time         `json:"placed"`
	State    state             `json:"state"`
	Lines    []orderLine       `json:"lines"`
	Labels   map[string]string `json:"labels"`
	Total    float64           `json:"total"`
	Paid     bool              `json:"paid"`
}

type orderLine struct {
	Article  string  `json:"article"`
	Quantity int     `json:"quantity"`
	Price    float64 `json:"price"`
}

// state has methods, so that packages which look for them call it.
type state int

var stateNames = []string{"new", "packed", "sent", "returned"}

func (s state) String() string { return stateNames[s] }

func (s state) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *state) UnmarshalText(text []byte) error {
	for i, n := range stateNames {
		if n == string(text) {
			*s = state(i)
			return nil
		}
	}
	return fmt.Errorf("state %q: expected one of %q", text, stateNames)
}

var words = strings.Fields("amber anchor basket beacon candle canyon copper cotton daisy dragon ember engine " +
	"falcon feather garden ginger hammer harbor island ivory jacket jungle kettle ladder lantern magnet meadow needle " +
	"oyster paddle pebble quarry ribbon saddle shadow thistle timber umbrella velvet walnut willow window yellow zephyr")

// newOrders returns the same orders each time.
func newOrders(n int) []order {
	rng := rand.New(rand.NewPCG(7, 7))
	word := func() string { return words[rng.IntN(len(words))] }
	out := make([]order, n)
	for i := range out {
		o := order{
			ID: rng.Int64N(1 << 40), Customer: word() + " " + word(), State: state(rng.IntN(len(stateNames))),
			Placed: time.Unix(1_700_000_000+rng.Int64N(30_000_000), 0).UTC(),
			Labels: map[string]string{"source": word(), "batch": fmt.Sprint(rng.IntN(100))}, Paid: rng.IntN(3) > 0,
		}
		if rng.IntN(2) == 0 {
			email := word() + "@" + word() + ".example"
			o.Email = &email
		}
		for range 1 + rng.IntN(4) {
			l := orderLine{Article: word() + "-" + word(), Quantity: 1 + rng.IntN(9), Price: float64(rng.IntN(100_000)) / 100}
			o.Lines = append(o.Lines, l)
			o.Total += float64(l.Quantity) * l.Price
		}
		out[i] = o
	}
	return out
}

// newText is a log of some thousand bytes.
func newText(lines int) string {
	rng := rand.New(rand.NewPCG(9, 9))
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "2026-03-%02d %02d:%02d:%02d host%d app[%d]: GET /%s/%s?id=%d from 10.0.%d.%d took %dms\n",
			1+i%28, rng.IntN(24), rng.IntN(60), rng.IntN(60), rng.IntN(8), 1000+rng.IntN(100), words[rng.IntN(len(words))],
			words[rng.IntN(len(words))], rng.IntN(10_000), rng.IntN(256), rng.IntN(256), rng.IntN(900))
	}
	return b.String()
}
