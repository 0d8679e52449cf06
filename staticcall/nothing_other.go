//go:build !amd64

package staticcall

import (
	"reflect"

	"github.com/quietpatch/quietpatch/internal/engine"
)

func nothingFast(reflect.Type) engine.Func { return nil }
