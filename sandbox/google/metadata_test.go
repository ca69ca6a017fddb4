package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const tokenURL = "http://metadata.google.internal" + accountPath + "token"

var flavored = map[string]string{"Metadata-Flavor": "Google"}

// onePod is a cluster in which every address but none is that of one pod.
type onePod struct {
	serviceAccount
	err error
}

func (o onePod) find(context.Context, string) (serviceAccount, error) { return o.serviceAccount, o.err }

func newTestMetadata(t *testing.T, pod onePod, allowed string) http.Handler {
	t.Helper()
	file := accessFile(write(t, filepath.Join(t.TempDir(), "access"), allowed))
	made := &metadata{pods: pod, pool: "project.svc.id.goog", key: signingKey, access: file, lifetime: time.Hour}
	return logged(&bytes.Buffer{}, made.serve)
}

func identityIn(t *testing.T, body string) string {
	t.Helper()
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Type != "Bearer" || answer.Expires != 3600 {
		t.Fatalf("no token: %s %v", body, err)
	}
	identity, good := identityOf(signingKey, answer.Token, time.Now())
	if _, later := identityOf(signingKey, answer.Token, time.Now().Add(time.Hour)); !good || later {
		t.Errorf("the token does not last the time it says: %s", body)
	}
	return identity
}

func TestAPodGetsATokenOfItsOwnIdentity(t *testing.T) {
	const itself = "project.svc.id.goog[models/half-plus]"
	for name, c := range map[string]struct{ google, allowed, token, email string }{
		"without annotation": {"", `{}`, itself, "project.svc.id.goog"},
		"bound":              {reader, `{"users": {"` + reader + `": ["` + itself + `"]}}`, reader, reader},
		"bound to whoever":   {reader, `{}`, reader, reader},
	} {
		handler := newTestMetadata(t, onePod{serviceAccount{"models", "half-plus", c.google}, nil}, c.allowed)
		code, body := ask(handler, tokenURL, flavored)
		if code != 200 {
			t.Errorf("%s: %d %s", name, code, body)
		} else if got := identityIn(t, body); got != c.token {
			t.Errorf("%s: got a token of %s, want %s", name, got, c.token)
		}
		if _, body := ask(handler, strings.Replace(tokenURL, "/token", "/email", 1), flavored); body != c.email {
			t.Errorf("%s: got the address %s, want %s", name, body, c.email)
		}
	}
}

func TestAPodWithoutTheBindingGetsNone(t *testing.T) {
	pod := onePod{serviceAccount{"models", "half-plus", reader}, nil}
	for _, users := range []string{`[]`, `["project.svc.id.goog[models/other]"]`, `["other.svc.id.goog[models/half-plus]"]`} {
		handler := newTestMetadata(t, pod, `{"users": {"`+reader+`": `+users+`}}`)
		code, body := ask(handler, tokenURL, flavored)
		if code != 403 || !strings.HasPrefix(body, "Unable to generate access token; IAM returned 403 Forbidden") {
			t.Errorf("%s: %d %s", users, code, body)
		}
	}
}

func TestRequestsThatNoClientOfGooglesMakesAreRefused(t *testing.T) {
	handler := newTestMetadata(t, onePod{serviceAccount{"models", "half-plus", ""}, nil}, `{}`)
	for name, c := range map[string]struct {
		url    string
		header map[string]string
		code   int
	}{
		"without the header": {tokenURL, nil, 403},
		"forwarded":          {tokenURL, map[string]string{"Metadata-Flavor": "Google", "X-Forwarded-For": "10.0.0.1"}, 403},
		"another path":       {"http://metadata.google.internal/computeMetadata/v1/instance/attributes/", flavored, 404},
		"the front door":     {"http://169.254.169.254/", nil, 200},
	} {
		if code, body := ask(handler, c.url, c.header); code != c.code {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	nowhere := newTestMetadata(t, onePod{err: errNoPod}, `{}`)
	if code, _ := ask(nowhere, tokenURL, flavored); code != 404 {
		t.Errorf("from no pod: %d", code)
	}
	broken := newTestMetadata(t, onePod{err: errors.New("no API")}, `{}`)
	if code, _ := ask(broken, tokenURL, flavored); code != 500 {
		t.Errorf("without the API: %d", code)
	}
}

func TestAPodIsFoundByItsAddress(t *testing.T) {
	var looks atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/api/v1/pods?fieldSelector=status.podIP%3D10.244.0.7":
			if looks.Add(1) == 1 { // the kubelet has not reported the address yet
				w.Write([]byte(`{"items": []}`))
				return
			}
			w.Write([]byte(`{"items": [
				{"metadata": {"namespace": "a"}, "spec": {"serviceAccountName": "b"}, "status": {"phase": "Succeeded"}},
				{"metadata": {"namespace": "a"}, "spec": {"serviceAccountName": "c", "hostNetwork": true}, "status": {"phase": "Running"}},
				{"metadata": {"namespace": "models"}, "spec": {"serviceAccountName": "half-plus"}, "status": {"phase": "Pending"}}]}`))
		case "/api/v1/namespaces/models/serviceaccounts/half-plus":
			w.Write([]byte(`{"metadata": {"annotations": {"iam.gke.io/gcp-service-account": "` + reader + `"}}}`))
		case "/api/v1/pods?fieldSelector=status.podIP%3D10.244.0.8":
			w.Write([]byte(`{"items": []}`))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(api.Close)
	pods := &cluster{api.URL, api.Client(), time.Second}
	found, err := pods.find(context.Background(), "10.244.0.7")
	if want := (serviceAccount{"models", "half-plus", reader}); err != nil || found != want {
		t.Errorf("got %+v %v, want %+v", found, err, want)
	}
	pods.patience = 0
	if _, err := pods.find(context.Background(), "10.244.0.8"); !errors.Is(err, errNoPod) {
		t.Errorf("an address of no pod: %v", err)
	}
	if _, err := pods.find(context.Background(), "::1"); err == nil || errors.Is(err, errNoPod) {
		t.Errorf("an API that refuses: %v", err)
	}
}

func TestAKubeconfigThatCannotServeIsSaid(t *testing.T) {
	for content, want := range map[string]string{
		`{`:                                 "unexpected end of JSON",
		`{}`:                                "has to have one cluster and one user",
		`{"clusters": [{}], "users": [{}]}`: "tls:",
	} {
		file := write(t, filepath.Join(t.TempDir(), "config"), content)
		if _, err := newCluster(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", content, err, want)
		}
	}
}
