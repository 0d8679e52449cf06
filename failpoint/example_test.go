package failpoint_test

import (
	"context"
	"fmt"
	"time"

	"github.com/quietpatch/quietpatch/failpoint"
)

var failSend failpoint.Point

var _ = failpoint.Register(&failSend, "example/send", "fails the sending of a packet")

func send(packet string) error {
	if v, ok := failSend.Eval(); ok {
		return v.Err()
	}
	fmt.Println("sent", packet)
	return nil
}

func Example() {
	if err := failpoint.Allow(); err != nil {
		fmt.Println(err)
	}
	if err := failpoint.Enable("example/send", `1*return("wire cut")`); err != nil {
		fmt.Println(err)
	}
	fmt.Println(send("a"))
	fmt.Println(send("b"))
	fmt.Println(failpoint.Disable("example/send"))
	// Output:
	// wire cut
	// sent b
	// <nil>
	// <nil>
}

var shortRead, slowDisk failpoint.Point

var (
	_ = failpoint.Register(&shortRead, "example/short-read", "the number of bytes that a read gets")
	_ = failpoint.Register(&slowDisk, "example/slow-disk", "before a write")
)

func read(n int) int {
	if v, ok := shortRead.Eval(); ok {
		if short, ok := v.Int(); ok {
			return short
		}
	}
	return n
}

func ExampleSet() {
	if err := failpoint.Allow(); err != nil {
		fmt.Println(err)
	}
	// Both or none, at the cost of one.
	fmt.Println(failpoint.Set("example/short-read=1*return(3)->2*off->return(0);example/slow-disk=sleep(10"))
	fmt.Println(read(8))
	fmt.Println(failpoint.Set("example/short-read=1*return(3)->2*off->return(0);example/slow-disk=sleep(10)"))
	fmt.Println(read(8), read(8), read(8), read(8))
	fmt.Println(failpoint.Forbid())
	// Output:
	// failpoint: "example/short-read=1*return(3)->2*off->return(0);example/slow-disk=sleep(10" at position 75: expected ")", found the end
	// 8
	// <nil>
	// 3 8 8 0
	// <nil>
}

func ExamplePoint_EvalContext() {
	if err := failpoint.Allow(); err != nil {
		fmt.Println(err)
	}
	if err := failpoint.Enable("example/slow-disk", `sleep("1h")->return`); err != nil {
		fmt.Println(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if _, ok := slowDisk.EvalContext(ctx); !ok {
		fmt.Println(ctx.Err())
	}
	fmt.Println(failpoint.Disable("example/slow-disk"))
	// Output:
	// context deadline exceeded
	// <nil>
}
