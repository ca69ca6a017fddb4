package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const reader = "half-plus@project.iam.gserviceaccount.com"

var signingKey = []byte("the key of these tests")

func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newTestStorage(t *testing.T, allowed string) *storage {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"models/half plus/1/model.json", "models/half plus/2/model.json", "others/secret"} {
		write(t, filepath.Join(folder, name), "content of "+name)
	}
	made, err := newStorage(folder, signingKey, accessFile(write(t, filepath.Join(t.TempDir(), "access"), allowed)))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func ask(handler http.Handler, url string, header map[string]string) (int, string) {
	request := httptest.NewRequest(http.MethodGet, url, nil)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	recorded := httptest.NewRecorder()
	handler.ServeHTTP(recorded, request)
	return recorded.Code, recorded.Body.String()
}

func bearer(identity string, lifetime time.Duration) map[string]string {
	return map[string]string{"Authorization": "Bearer " + newToken(signingKey, identity, time.Now().Add(lifetime))}
}

const (
	objectURL = "https://storage.googleapis.com/models/half%20plus%2F1%2Fmodel.json"
	statURL   = "https://www.googleapis.com/storage/v1/b/models/o/half%20plus%2F1%2Fmodel.json?fields=size%2Cgeneration%2Cupdated"
	listURL   = "https://www.googleapis.com/storage/v1/b/models/o?fields=x&delimiter=%2F&prefix=half%20plus%2F"
)

func TestAReaderGetsWhatTensorFlowAsksFor(t *testing.T) {
	handler := logged(&bytes.Buffer{}, newTestStorage(t, `{"readers": {"models": ["`+reader+`"]}}`).serve)
	header := bearer(reader, time.Hour)
	if code, body := ask(handler, objectURL, header); code != 200 || body != "content of models/half plus/1/model.json" {
		t.Errorf("object: %d %s", code, body)
	}
	header["Range"] = "bytes=0-6"
	if code, body := ask(handler, objectURL, header); code != 206 || body != "content" {
		t.Errorf("a range: %d %s", code, body)
	}
	header["Range"] = "bytes=99-199"
	if code, _ := ask(handler, objectURL, header); code != 416 {
		t.Errorf("past the end: %d", code)
	}
	delete(header, "Range")
	code, body := ask(handler, statURL, header)
	var stat struct{ Size, Generation, Updated string }
	if err := json.Unmarshal([]byte(body), &stat); err != nil || code != 200 || stat.Size != "40" || stat.Generation == "" {
		t.Errorf("stat: %d %s %v", code, body, err)
	}
	if _, err := time.Parse(time.RFC3339, stat.Updated); err != nil {
		t.Errorf("stat: %v", err)
	}
	code, body = ask(handler, listURL, header)
	var list struct{ Prefixes []string }
	if err := json.Unmarshal([]byte(body), &list); err != nil || code != 200 ||
		strings.Join(list.Prefixes, " ") != "half plus/1/ half plus/2/" {
		t.Errorf("list: %d %s %v", code, body, err)
	}
	if code, _ := ask(handler, strings.Replace(statURL, "model.json", "none", 1), header); code != 404 {
		t.Errorf("an object that is not there: %d", code)
	}
}

func TestNobodyElseReads(t *testing.T) {
	handler := logged(&bytes.Buffer{}, newTestStorage(t, `{"readers": {"models": ["`+reader+`"], "others": []}}`).serve)
	anonymous := "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object. " +
		"Permission 'storage.objects.get' denied on resource (or it may not exist)."
	forged := map[string]string{"Authorization": "Bearer " + newToken([]byte("another key"), reader, time.Now().Add(time.Hour))}
	for name, c := range map[string]struct {
		url    string
		header map[string]string
		code   int
		words  string
	}{
		"no token, stat":        {statURL, nil, 401, anonymous},
		"no token, object":      {objectURL, nil, 401, "<Code>AuthenticationRequired</Code>"},
		"a made-up token":       {statURL, map[string]string{"Authorization": "Bearer ya29.abc"}, 401, "Invalid Credentials"},
		"a token of another's":  {statURL, forged, 401, "Invalid Credentials"},
		"a token that ended":    {statURL, bearer(reader, -time.Second), 401, "Invalid Credentials"},
		"another identity":      {statURL, bearer("someone@else", time.Hour), 403, "someone@else does not have storage.objects.get access"},
		"another one lists":     {listURL, bearer("someone@else", time.Hour), 403, "storage.objects.list access to the Google Cloud Storage bucket."},
		"another bucket":        {strings.Replace(listURL, "models", "others", 1), bearer(reader, time.Hour), 403, reader},
		"the bucket itself":     {"https://www.googleapis.com/storage/v1/b/models", bearer(reader, time.Hour), 403, "storage.buckets.get"},
		"all buckets":           {"https://www.googleapis.com/storage/v1/b", bearer(reader, time.Hour), 404, ""},
		"another host":          {strings.Replace(statURL, "www", "oauth2", 1), bearer(reader, time.Hour), 404, ""},
		"the library's control": {"https://storage.googleapis.com/_internal/healthcheck", bearer(reader, time.Hour), 404, ""},
		"a deeper API path":     {strings.Replace(statURL, "?", "/acl?", 1), bearer(reader, time.Hour), 404, ""},
	} {
		if code, body := ask(handler, c.url, c.header); code != c.code || !strings.Contains(body, c.words) {
			t.Errorf("%s: got %d %s, want %d %s", name, code, body, c.code, c.words)
		}
	}
	request := httptest.NewRequest(http.MethodDelete, statURL, nil)
	request.Header.Set("Authorization", bearer(reader, time.Hour)["Authorization"])
	recorded := httptest.NewRecorder()
	if handler.ServeHTTP(recorded, request); recorded.Code != http.StatusMethodNotAllowed {
		t.Errorf("deleting: %d", recorded.Code)
	}
}

func TestABucketWithoutAnEntryIsOpenToWhoeverHasAToken(t *testing.T) {
	handler := logged(&bytes.Buffer{}, newTestStorage(t, `{}`).serve)
	if code, body := ask(handler, listURL, bearer("anybody", time.Hour)); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := ask(handler, listURL, nil); code != 401 {
		t.Errorf("without a token: %d", code)
	}
}

func TestAccessIsReadAnewForEachRequest(t *testing.T) {
	made := newTestStorage(t, `{"readers": {"models": []}}`)
	handler := logged(&bytes.Buffer{}, made.serve)
	for content, want := range map[string]int{`{"readers": {"models": []}}`: 403, `{}`: 200, `{`: 500} {
		write(t, string(made.access), content)
		if code, body := ask(handler, listURL, bearer(reader, time.Hour)); code != want {
			t.Errorf("%s: %d %s", content, code, body)
		}
	}
}

func TestTheLogTellsWhoReadWhat(t *testing.T) {
	var out bytes.Buffer
	handler := logged(&out, newTestStorage(t, `{}`).serve)
	ask(handler, objectURL, bearer(reader, time.Hour))
	ask(handler, objectURL, nil)
	var lines [2]request
	decoder := json.NewDecoder(&out)
	for i := range lines {
		if err := decoder.Decode(&lines[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines[0]; got.Identity != reader || got.Status != 200 || got.Host != storageHost ||
		!strings.HasSuffix(got.URI, "/models/half%20plus%2F1%2Fmodel.json") {
		t.Errorf("got %+v", got)
	}
	if got := lines[1]; got.Identity != "" || got.Status != 401 {
		t.Errorf("got %+v", got)
	}
}
