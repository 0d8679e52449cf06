//go:build linux && !amd64

package reserve

import "errors"

const canClone = false

func cloneThread() (int, func(), error) { return 0, nil, errors.ErrUnsupported }
