package main

import "errors"

func init() { programs["callspanic"] = callsPanic }

// callsPanic dies of a panic in a closure that was entered by way of a stub.
func callsPanic([]string) (any, error) {
	b := newBox(5)
	if err := work.Update(func(*mark, uint64, []byte, float64) (uint64, uint64, []byte, float64) {
		panicInCallee(b)
		return 0, 0, nil, 0
	}); err != nil {
		return nil, err
	}
	callOnce(newCaller(1))
	return nil, errors.New("no panic")
}

//go:noinline
func panicInCallee(b *box) {
	if b.check() == 5 {
		panic("in the callee")
	}
}
