package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// logBuffer collects what the server logs during a test.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// captureLog takes the log for the rest of the test.
func captureLog(t *testing.T) *logBuffer {
	t.Helper()
	captured := &logBuffer{}
	swap := func(to io.Writer) io.Writer {
		log.mu.Lock()
		defer log.mu.Unlock()
		before := log.out
		log.out = to
		return before
	}
	before := swap(captured)
	t.Cleanup(func() { swap(before) })
	return captured
}

// writeVersion puts a version under a base path, whole at once as an export does.
func writeVersion(t *testing.T, basePath, version, content string) {
	t.Helper()
	staging := filepath.Join(t.TempDir(), version)
	if err := os.MkdirAll(staging, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(staging, modelFileName), content)
	if err := os.MkdirAll(basePath, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(staging, filepath.Join(basePath, version)); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	halfPlusTwo   = `{"scale": 0.5, "offset": 2}`
	halfPlusThree = `{"scale": 0.5, "offset": 3}`
)

// defaults are the flags' defaults, with polls and retries that suit a test.
func defaults() options {
	var o options
	o.flags()
	o.maxLoadRetries = 0
	o.loadRetryMicros = -1
	return o
}

// serve starts a server without ports for one model and waits for it.
func serve(t *testing.T, o options, models ...modelConfig) (*core, http.Handler) {
	t.Helper()
	captureLog(t)
	core := newCore(o)
	if failure := core.reload(models); failure != nil {
		t.Fatalf("the server does not start: %s", failure)
	}
	return core, newRestAPI(core, defaultMetricsPath)
}

// serveFile serves one version with that model.json under the name m.
func serveFile(t *testing.T, o options, content string) http.Handler {
	t.Helper()
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", content)
	_, api := serve(t, o, modelConfig{name: "m", basePath: basePath, platform: tensorflowPlatform})
	return api
}

func call(api http.Handler, method, path, body string) (int, string) {
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, httptest.NewRequest(method, path, strings.NewReader(body)))
	return recorder.Code, recorder.Body.String()
}

func expect(t *testing.T, api http.Handler, method, path, body string, code int, answer string) {
	t.Helper()
	gotCode, got := call(api, method, path, body)
	if gotCode != code || got != answer {
		t.Errorf("%s %s %s\n got %d %s\nwant %d %s", method, path, body, gotCode, got, code, answer)
	}
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("never came: %s", what)
}

func statesOf(core *core, name string) string {
	versions, failure := core.manager.states(name, nil)
	if failure != nil {
		return failure.message
	}
	var text []string
	for _, v := range versions {
		text = append(text, fmt.Sprintf("%d %s", v.version, v.state))
	}
	return strings.Join(text, ", ")
}
