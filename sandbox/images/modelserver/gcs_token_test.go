package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// TestAMetadataServerThatComesTooLateIsNeverAskedAgain is the trap that a sidecar which starts late sets.
func TestAMetadataServerThatComesTooLateIsNeverAskedAgain(t *testing.T) {
	c := newCloud(t, twoVersions())
	good := c.metadata
	var asked atomic.Int32
	c.metadata = func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}
	files, waits := c.files(nil)
	logged := captureLog(t)
	refused := "PERMISSION_DENIED: Error executing an HTTP request: HTTP response code 401 with body " +
		"'Anonymous caller does not have storage.objects.get access\n'\n\t when reading metadata of gs://models/other"
	if got := files.exists("gs://models/other").String(); got != refused {
		t.Fatalf("without a token: got %s, want %s", got, refused)
	}
	line := "W external/local_xla/xla/tsl/platform/cloud/google_auth_provider.cc] All attempts to get a Google authentication " +
		"bearer token failed, returning an empty token. Retrieving token from files failed with " +
		"\"NOT_FOUND: Could not locate the credentials file.\". Retrieving token from GCE failed with " +
		"\"ABORTED: All 10 retry attempts failed. The last failure: Error executing an HTTP request: HTTP response code 502\".\n"
	if !strings.Contains(logged.String(), line) {
		t.Errorf("no %s in\n%s", line, logged)
	}
	if asked.Load() != 11 || len(*waits) != 10 {
		t.Errorf("asked %d times with waits %v, want 11 times", asked.Load(), *waits)
	}
	c.metadata = good
	if got := files.exists("gs://models/other").String(); got != refused {
		t.Errorf("the metadata server is asked again: got %s", got)
	}
}

func TestAMetadataServerThatRefusesIsAskedOnce(t *testing.T) {
	c := newCloud(t, twoVersions())
	var asked atomic.Int32
	c.metadata = func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "Unable to generate access token", http.StatusForbidden)
	}
	files, waits := c.files(nil)
	logged := captureLog(t)
	files.exists("gs://models/other")
	files.exists("gs://models/other")
	if asked.Load() != 1 || len(*waits) != 0 || !strings.Contains(logged.String(), "Unable to generate access token") {
		t.Errorf("asked %d times with waits %v:\n%s", asked.Load(), *waits, logged)
	}
}

func TestATokenIsReplacedAMinuteBeforeItEnds(t *testing.T) {
	c := newCloud(t, nil)
	var asked atomic.Int32
	c.metadata = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"access_token": "token %d", "expires_in": 600, "token_type": "Bearer"}`, asked.Add(1))
	}
	files, _ := c.files(nil)
	now := int64(1000)
	files.tokens.seconds = func() int64 { return now }
	for _, step := range []struct {
		at   int64
		want string
	}{{1000, "token 1"}, {1539, "token 1"}, {1540, "token 2"}, {1541, "token 2"}} {
		now = step.at
		if got := files.tokens.get(); got != step.want {
			t.Errorf("at %d: got %s, want %s", step.at, got, step.want)
		}
	}
}

func TestAnAnswerThatIsNoTokenIsSaid(t *testing.T) {
	for body, want := range map[string]string{
		"<html>":                                 "INTERNAL: Couldn't parse JSON response from OAuth server.",
		`{"access_token": "x", "expires_in": 1}`: "FAILED_PRECONDITION: Unexpected Oauth token type: ",
		`{"access_token": "x", "token_type": "Bearer"}`: "FAILED_PRECONDITION: Couldn't read a JSON value 'expires_in'.",
		`{"expires_in": 1, "token_type": "Bearer"}`:     "FAILED_PRECONDITION: Couldn't read a JSON value 'access_token'.",
	} {
		c := newCloud(t, nil)
		c.metadata = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
		files, _ := c.files(nil)
		logged := captureLog(t)
		if token := files.tokens.get(); token != "" || !strings.Contains(logged.String(), "\""+want+"\"") {
			t.Errorf("%s: token %q, no %s in\n%s", body, token, want, logged)
		}
	}
}

func TestTheVariablesOfTensorFlowChooseTheToken(t *testing.T) {
	c := newCloud(t, twoVersions())
	captureLog(t)
	files, _ := c.files(map[string]string{"GOOGLE_AUTH_TOKEN_FOR_TESTING": "given"})
	if got := files.tokens.get(); got != "given" || len(c.asked) > 0 {
		t.Errorf("got %q after %v", got, c.asked)
	}
	files, _ = c.files(map[string]string{"NO_GCE_CHECK": "True"})
	if got := files.tokens.get(); got != "" || len(c.asked) > 0 {
		t.Errorf("NO_GCE_CHECK: got %q after %v", got, c.asked)
	}
	files, _ = c.files(map[string]string{"GCE_METADATA_HOST": "10.0.0.1:8080"})
	if got := files.tokens.get(); got != goodToken || !strings.HasPrefix(c.asked[0], "10.0.0.1:8080 ") {
		t.Errorf("GCE_METADATA_HOST: got %q after %v", got, c.asked)
	}
	logged := captureLog(t)
	files, _ = c.files(map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": c.bundle, "GCE_METADATA_HOST": "metadata.invalid"})
	files.http.dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
	}
	files.tokens.get()
	for _, want := range []string{"UNIMPLEMENTED: This server reads no credentials file: " + c.bundle,
		"FAILED_PRECONDITION: Error executing an HTTP request: libcurl code 6 meaning 'Couldn't resolve host name', " +
			"error details: Could not resolve host: metadata.invalid"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("no %s in\n%s", want, logged)
		}
	}
}
