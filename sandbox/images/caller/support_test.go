package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

const asCaller = "CALLER_TEST_AS_CALLER"

// TestMain lets the test binary be the caller, so that signals can be tested.
func TestMain(m *testing.M) {
	if os.Getenv(asCaller) != "" {
		main()
	}
	os.Exit(m.Run())
}

// runs runs a command that has to succeed and reads its JSON.
func runs[R any](t *testing.T, arguments ...string) R {
	t.Helper()
	var out, complaints strings.Builder
	if code := run(arguments, &out, &complaints); code != 0 {
		t.Fatalf("%q: exit code %d: %s", arguments, code, complaints.String())
	}
	var report R
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%q prints %s: %v", arguments, out.String(), err)
	}
	return report
}

func load(t *testing.T, arguments ...string) report {
	t.Helper()
	return runs[report](t, append([]string{"load"}, arguments...)...)
}

// site is an HTTP server for one test.
func site(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// sockets accepts TCP connections and gives each to handle.
func sockets(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go handle(connection)
		}
	}()
	return listener.Addr().String()
}

func sameCounts[K comparable](t *testing.T, what string, got, want map[K]int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
	for key, count := range want {
		if got[key] != count {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
}
