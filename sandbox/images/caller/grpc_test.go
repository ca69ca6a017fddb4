package main

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// speaks is a server of HTTP/2 without TLS.
func speaks(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func calling(t *testing.T, arguments ...string) rpc {
	t.Helper()
	return runs[rpc](t, append([]string{"grpc"}, arguments...)...)
}

func TestACallIsAnswered(t *testing.T) {
	url := speaks(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.ProtoMajor != 2 || r.URL.Path != "/a.B/C" || r.Method != http.MethodPost ||
			r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("TE") != "trailers" ||
			r.Header.Get("Authorization") != "Bearer x" || r.Host != "other.test" || string(body) != "\x00\x00\x00\x00\x03abc" {
			t.Errorf("got %s %s %v %q", r.Proto, r.URL.Path, r.Header, body)
		}
		w.Header().Set("Trailer", "Grpc-Status")
		w.Write([]byte("\x00\x00\x00\x00\x02ok"))
		w.Header().Set("Grpc-Status", "0")
	})
	got := calling(t, url+"/a.B/C", "--header", "Authorization=Bearer x", "--host", "other.test", "--message", base64.StdEncoding.EncodeToString([]byte("abc")))
	if want := (rpc{Status: 200, Message: base64.StdEncoding.EncodeToString([]byte("ok"))}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestACallIsRefusedInGRPCOrInHTTP(t *testing.T) {
	url := speaks(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a.B/C" {
			w.Header().Set("Grpc-Status", "7")
			w.Header().Set("Grpc-Message", "RBAC: access denied")
			return
		}
		http.NotFound(w, r)
	})
	if got, want := calling(t, url+"/a.B/C"), (rpc{Status: 200, Code: 7, Details: "RBAC: access denied"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := calling(t, url+"/other"), (rpc{Status: 404, Code: -1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestACallThatIsCutOffIsNoAnswer(t *testing.T) {
	for range 20 { // it may be seen while something is written, or read, or before
		address := sockets(t, func(connection net.Conn) {
			connection.(*net.TCPConn).SetLinger(0)
			connection.Close()
		})
		got := calling(t, "http://"+address+"/a.B/C")
		if got.Status != 0 || got.Code != -1 || got.Error == "" || (got.Kind != "reset" && got.Kind != "closed") {
			t.Errorf("got %+v", got)
		}
	}
}
