package bench

import (
	"reflect"
	"testing"

	pingcap "github.com/pingcap/failpoint"
	gofail "go.etcd.io/gofail/runtime"

	"github.com/quietpatch/quietpatch/failpoint"
)

// A point of each kind, as its users write it or its tool generates it.

var ours failpoint.Point

const oursName = "bench/point"

var _ = failpoint.Register(&ours, oursName, "compared with gofail and pingcap/failpoint")

// gofailPoint is what `gofail enable` puts into a file point.fail.go.
var gofailPoint *gofail.Failpoint = gofail.NewFailpoint("point")

// The binding that `failpoint-ctl enable` writes into each package, with other
// names for its type and function.
type bindingType struct{ pkgpath string }

var bindingCache = &bindingType{}

func init() {
	bindingCache.pkgpath = reflect.TypeOf(bindingType{}).PkgPath()
}

func curpkg(name string) string {
	return bindingCache.pkgpath + "/" + name
}

// loopNone is a loop without points. The loops share no memory that is written.
//
//go:noinline
func loopNone(n int) (sum int) {
	for i := range n {
		sum ^= i
	}
	return sum
}

//go:noinline
func loopOurs(n int) (sum int) {
	for i := range n {
		if v, ok := ours.Eval(); ok {
			i, _ = v.Int()
		}
		sum ^= i
	}
	return sum
}

// loopGofail has the header and footer of gofail's doc/design.md.
//
//go:noinline
func loopGofail(n int) (sum int) {
	for i := range n {
		if vpoint, __fpErr := gofailPoint.Acquire(); __fpErr == nil {
			point, __fpTypeOK := vpoint.(int)
			if !__fpTypeOK {
				goto __badTypepoint
			}
			i = point
			goto __nomockpoint
		__badTypepoint:
			gofailPoint.BadType(vpoint, "int")
		__nomockpoint:
		}
		sum ^= i
	}
	return sum
}

// loopPingcap has the generated code of pingcap/failpoint's README.
//
//go:noinline
func loopPingcap(n int) (sum int) {
	for i := range n {
		if val, _err_ := pingcap.Eval(curpkg("point")); _err_ == nil {
			i, _ = val.(int)
		}
		sum ^= i
	}
	return sum
}

// setAll turns the three points on.
func setAll(t testing.TB, terms string) {
	t.Helper()
	if err := failpoint.Enable(oursName, terms); err != nil {
		t.Fatal(err)
	}
	if err := gofail.Enable("point", terms); err != nil {
		t.Fatal(err)
	}
	if err := pingcap.Enable(curpkg("point"), terms); err != nil {
		t.Fatal(err)
	}
}

func clearAll(t testing.TB) {
	t.Helper()
	if err := failpoint.Disable(oursName); err != nil {
		t.Fatal(err)
	}
	if err := gofail.Disable("point"); err != nil {
		t.Fatal(err)
	}
	if err := pingcap.Disable(curpkg("point")); err != nil {
		t.Fatal(err)
	}
}
