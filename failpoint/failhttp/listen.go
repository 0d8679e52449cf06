package failhttp

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/quietpatch/quietpatch/failpoint"
)

// EnvVar has the address that [ListenEnv] listens at, as in 127.0.0.1:1234.
const EnvVar = "QUIETPATCH_FAILPOINTS_HTTP"

// Server serves the interface at an address of its own.
type Server struct {
	srv  *http.Server
	ln   net.Listener
	done chan struct{}
}

// ListenEnv serves the interface if the environment asks for it: at the
// address in [EnvVar], or else GOFAIL_HTTP, or else GO_FAILPOINTS_HTTP. It
// returns nil if none is set, and [failpoint.ErrForbidden] if one is and failpoints
// are not allowed.
func ListenEnv() (*Server, error) { return listenEnv(os.Getenv) }

func listenEnv(getenv func(string) string) (*Server, error) {
	addr := cmp.Or(getenv(EnvVar), getenv("GOFAIL_HTTP"), getenv("GO_FAILPOINTS_HTTP"))
	if addr == "" {
		return nil, nil
	}
	if !failpoint.Allowed() {
		return nil, fmt.Errorf("environment: no interface at %q: %w", addr, failpoint.ErrForbidden)
	}
	return Listen(addr)
}

// Listen serves the interface at addr until the server is closed.
func Listen(addr string) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("failhttp: %w", err)
	}
	s := &Server{
		srv:  &http.Server{Handler: Handler(), ReadHeaderTimeout: 10 * time.Second},
		ln:   ln,
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.srv.Serve(ln) // ends by Close
	}()
	return s, nil
}

// Addr is where the server listens. Of a nil Server it is nil.
func (s *Server) Addr() net.Addr {
	if s == nil {
		return nil
	}
	return s.ln.Addr()
}

// Close ends the server and its connections. Closing a nil Server does nothing.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	err := s.srv.Close()
	<-s.done
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return err
}
