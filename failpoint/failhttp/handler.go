package failhttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/quietpatch/quietpatch/failpoint"
)

// bodyMax is more than any list of terms that somebody means.
const bodyMax = 1 << 20

const countSuffix = "/count"

// Handler returns the interface. Under a prefix, use [http.StripPrefix].
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	if !failpoint.Allowed() {
		http.Error(w, failpoint.ErrForbidden.Error(), http.StatusForbidden)
		return
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/")
	if !ok {
		http.Error(w, "malformed request URI: expected a path that starts with /", http.StatusBadRequest)
		return
	}
	switch r.Method {
	case http.MethodGet:
		get(w, name)
	case http.MethodPut:
		put(w, r, name)
	case http.MethodDelete:
		if err := failpoint.Disable(name); err != nil {
			http.Error(w, "failed to delete failpoint: "+err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "DELETE, GET, PUT")
		http.Error(w, "Method not allowed", http.StatusMethodNotAllowed)
	}
}

func get(w http.ResponseWriter, name string) {
	text := ""
	var err error
	status := http.StatusNotFound
	if point, ok := strings.CutSuffix(name, countSuffix); ok {
		var count int
		_, count, err = failpoint.Status(point)
		text = strconv.Itoa(count)
		if errors.Is(err, failpoint.ErrDisabled) {
			status = http.StatusInternalServerError // as gofail
		}
	} else if name == "" {
		text = list()
	} else {
		text, _, err = failpoint.Status(name)
		text += "\n"
	}
	if err != nil {
		http.Error(w, "failed to GET: "+err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	io.WriteString(w, text)
}

// list has a line for every point. One that is off has no terms.
func list() string {
	var lines []string
	for _, name := range failpoint.List() {
		terms, _, _ := failpoint.Status(name)
		lines = append(lines, name+"="+terms)
	}
	return strings.Join(lines, "\n") + "\n"
}

// put reads the body before it makes panics wait: a slow client must not.
func put(w http.ResponseWriter, r *http.Request, name string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		http.Error(w, fmt.Sprintf("failed to read the body of PUT: %v", err), http.StatusBadRequest)
		return
	}
	text := strings.TrimSpace(string(body))
	failpoint.Hold(func() {
		if strings.EqualFold(name, "failpoints") {
			err = failpoint.Set(text)
		} else {
			err = failpoint.Enable(name, text)
		}
		if err != nil {
			http.Error(w, "failed to set failpoint: "+err.Error(), http.StatusBadRequest)
		} else {
			w.WriteHeader(http.StatusNoContent)
		}
		// The answer leaves before a panic that it set can end the program.
		_ = http.NewResponseController(w).Flush()
	})
}
