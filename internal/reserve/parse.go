package reserve

import (
	"errors"
	"fmt"

	"github.com/quietpatch/quietpatch/internal/cpulist"
)

// Parse reads a list of CPUs in the kernel's form: see [cpulist.Parse]. An empty list is an
// empty set.
func Parse(list string) (CPUs, error) {
	return parse(list, func() (int, error) {
		possible, err := system{}.possible()
		if err != nil {
			return 0, err
		}
		return possible[len(possible)-1], nil
	})
}

// parse reads a list; last returns the highest CPU number of the machine.
func parse(list string, last func() (int, error)) (CPUs, error) {
	cpus, err := cpulist.Parse(list, cpusMax, last)
	if e := (*cpulist.Error)(nil); errors.As(err, &e) {
		return nil, &listError{e, list}
	}
	return cpus, err
}

// listError shows the list, too.
type listError struct {
	what *cpulist.Error
	list string
}

func (e *listError) Unwrap() error { return e.what }

// Error shows what is around the place if the list is long. All before the place was
// understood, hence ASCII.
func (e *listError) Error() string {
	const shown = 60
	list, at := e.list, e.what.At
	if len(list) > shown {
		list = "..." + list[max(0, at-shown):min(len(list), at+shown/2)] + "..."
	}
	return fmt.Sprintf("CPU list %q, character %d: expected %s, found %s", list, at+1, e.what.Expected, e.what.Found)
}
