package main

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func getting(t *testing.T, arguments ...string) outcome {
	t.Helper()
	return runs[outcome](t, append([]string{"get"}, arguments...)...)
}

func TestAnAllowedHostIsReached(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"a": 1}`) }))
	t.Cleanup(secure.Close)
	port := secure.Listener.Addr().(*net.TCPAddr).AddrPort().Port()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	pemText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(bundle, pemText, 0o600); err != nil {
		t.Fatal(err)
	}
	named := strings.Replace(secure.URL, "127.0.0.1", "example.com", 1)
	resolve := strings.TrimPrefix(named, "https://") + ":127.0.0.1"
	for _, arguments := range [][]string{
		{secure.URL, "--insecure"}, {"--ca", bundle, secure.URL}, {named, "--ca", bundle, "--resolve", resolve},
	} {
		got := getting(t, arguments...)
		if got.Outcome != "reached" || !got.Reached || got.Status != 200 || got.Body != `{"a":1}` || got.TLS == nil ||
			got.TLS.Version != "TLS 1.3" || got.Error != "" {
			t.Errorf("%q: %+v (port %d)", arguments, got, port)
		}
	}
	got := getting(t, secure.URL)
	if got.Outcome != "reached" || got.Kind != "certificate" || got.Status != 0 || got.Error == "" {
		t.Errorf("a certificate that is not trusted: %+v", got)
	}
	got = getting(t, strings.Replace(secure.URL, "127.0.0.1", "other.test", 1), "--ca", bundle, "--resolve",
		strings.TrimPrefix(strings.Replace(secure.URL, "127.0.0.1", "other.test", 1), "https://")+":127.0.0.1")
	if got.Kind != "certificate" {
		t.Errorf("a certificate for another name: %+v", got)
	}
}

func TestABlockedHostIsToldFromAReachedOne(t *testing.T) {
	closing := sockets(t, func(connection net.Conn) { connection.Close() })
	resetting := sockets(t, func(connection net.Conn) {
		connection.(*net.TCPConn).SetLinger(0)
		connection.Close()
	})
	silent := sockets(t, func(connection net.Conn) { io.Copy(io.Discard, connection) })
	sidecar := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "envoy")
		w.WriteHeader(502)
	})
	origin := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(502)
		io.WriteString(w, "the origin's own trouble")
	})
	gateway := site(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "envoy") // of a proxy at the other end, which passes its upstream's words on
		w.WriteHeader(502)
		io.WriteString(w, "upstream connect error")
	})
	for _, c := range []struct{ url, outcome string }{
		{gateway, "reached"},
		{"https://" + closing, "blocked"}, {"http://" + closing, "blocked"}, {"https://" + resetting, "blocked"},
		{sidecar, "blocked"}, {origin, "reached"}, {"https://127.0.0.1:1", "refused"}, {"https://" + silent, "failed"},
	} {
		got := getting(t, c.url, "--timeout", "2s")
		if got.Outcome != c.outcome || got.Reached != (c.outcome == "reached") {
			t.Errorf("%s: %+v, want %s", c.url, got, c.outcome)
		}
	}
}
