package statickey_test

import (
	"fmt"

	"github.com/quietpatch/quietpatch/statickey"
)

var traceSends statickey.Bool

var _ = statickey.Register(&traceSends, "net.trace-sends", "log every packet sent")

func send(n int) {
	if traceSends.Enabled() {
		fmt.Println("send", n)
	}
}

func Example() {
	send(1)
	if err := traceSends.Enable(); err != nil {
		fmt.Println(err)
	}
	send(2)
	if err := traceSends.Disable(); err != nil {
		fmt.Println(err)
	}
	send(3)
	// Output: send 2
}

var traceReads, traceWrites statickey.Bool

func ExampleBatch() {
	var b statickey.Batch
	b.Set(&traceReads, true)
	b.Set(&traceWrites, true)
	if err := b.Apply(); err != nil { // both or none, at the cost of one
		fmt.Println(err)
	}
	fmt.Println(traceReads.Enabled(), traceWrites.Enabled())
	// Output: true true
}
