package callprog

// adder is what the loops call. The sixteen types do nearly nothing, so that a
// loop's time is that of its calls. None of the methods is inlined: a call that is
// inlined is no call.
type adder interface{ add(x int) int }

type (
	t0  struct{ n int }
	t1  struct{ n int }
	t2  struct{ n int }
	t3  struct{ n int }
	t4  struct{ n int }
	t5  struct{ n int }
	t6  struct{ n int }
	t7  struct{ n int }
	t8  struct{ n int }
	t9  struct{ n int }
	t10 struct{ n int }
	t11 struct{ n int }
	t12 struct{ n int }
	t13 struct{ n int }
	t14 struct{ n int }
	t15 struct{ n int }
)

//go:noinline
func (t *t0) add(x int) int { return x + t.n }

//go:noinline
func (t *t1) add(x int) int { return x + t.n + 1 }

//go:noinline
func (t *t2) add(x int) int { return x + t.n + 2 }

//go:noinline
func (t *t3) add(x int) int { return x + t.n + 3 }

//go:noinline
func (t *t4) add(x int) int { return x + t.n + 4 }

//go:noinline
func (t *t5) add(x int) int { return x + t.n + 5 }

//go:noinline
func (t *t6) add(x int) int { return x + t.n + 6 }

//go:noinline
func (t *t7) add(x int) int { return x + t.n + 7 }

//go:noinline
func (t *t8) add(x int) int { return x + t.n + 8 }

//go:noinline
func (t *t9) add(x int) int { return x + t.n + 9 }

//go:noinline
func (t *t10) add(x int) int { return x + t.n + 10 }

//go:noinline
func (t *t11) add(x int) int { return x + t.n + 11 }

//go:noinline
func (t *t12) add(x int) int { return x + t.n + 12 }

//go:noinline
func (t *t13) add(x int) int { return x + t.n + 13 }

//go:noinline
func (t *t14) add(x int) int { return x + t.n + 14 }

//go:noinline
func (t *t15) add(x int) int { return x + t.n + 15 }

// adders has one of each type.
var adders = []adder{
	&t0{1}, &t1{1}, &t2{1}, &t3{1}, &t4{1}, &t5{1}, &t6{1}, &t7{1},
	&t8{1}, &t9{1}, &t10{1}, &t11{1}, &t12{1}, &t13{1}, &t14{1}, &t15{1},
}

// The loops below are alike, and not one function: each has a call of its own to
// learn.

//go:noinline
func oneTarget(list []adder, x int) int {
	for _, a := range list {
		x = a.add(x)
	}
	return x
}

//go:noinline
func twoTargets(list []adder, x int) int {
	for _, a := range list {
		x = a.add(x)
	}
	return x
}

//go:noinline
func sixteenTargets(list []adder, x int) int {
	for _, a := range list {
		x = a.add(x)
	}
	return x
}

// newOrder draws from two targets each time, so that no predictor can learn the
// order by heart.
//
//go:noinline
func newOrder(pair *[2]adder, n int, r uint64) (x int, next uint64) {
	for range n {
		r = shift(r)
		x = pair[r>>63].add(x)
	}
	return x, r
}

// shift is one step of Marsaglia's xorshift64.
func shift(r uint64) uint64 {
	r ^= r << 13
	r ^= r >> 7
	return r ^ r<<17
}

// What a programmer would write to have direct calls.

//go:noinline
func oneDirect(list []*t0, x int) int {
	for _, a := range list {
		x = a.add(x)
	}
	return x
}

//go:noinline
func twoDirect(list []adder, x int) int {
	for _, a := range list {
		if t, ok := a.(*t0); ok {
			x = t.add(x)
		} else {
			x = a.(*t1).add(x)
		}
	}
	return x
}

//go:noinline
func newOrderDirect(pair *[2]adder, n int, r uint64) (x int, next uint64) {
	for range n {
		r = shift(r)
		a := pair[r>>63]
		if t, ok := a.(*t0); ok {
			x = t.add(x)
		} else {
			x = a.(*t1).add(x)
		}
	}
	return x, r
}

//go:noinline
func sixteenDirect(list []adder, x int) int {
	for _, a := range list {
		switch t := a.(type) {
		case *t0:
			x = t.add(x)
		case *t1:
			x = t.add(x)
		case *t2:
			x = t.add(x)
		case *t3:
			x = t.add(x)
		case *t4:
			x = t.add(x)
		case *t5:
			x = t.add(x)
		case *t6:
			x = t.add(x)
		case *t7:
			x = t.add(x)
		case *t8:
			x = t.add(x)
		case *t9:
			x = t.add(x)
		case *t10:
			x = t.add(x)
		case *t11:
			x = t.add(x)
		case *t12:
			x = t.add(x)
		case *t13:
			x = t.add(x)
		case *t14:
			x = t.add(x)
		case *t15:
			x = t.add(x)
		}
	}
	return x
}
