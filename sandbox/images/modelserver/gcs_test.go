package main

import (
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var discard = stdlog.New(io.Discard, "", 0)

// inBuckets makes the server under test read the cloud for the rest of the test.
func inBuckets(t *testing.T, files fileSystem) {
	t.Helper()
	before := buckets
	buckets = files
	t.Cleanup(func() { buckets = before })
}

func twoVersions() map[string]string {
	return map[string]string{
		"models/half plus/1/model.json":           halfPlusTwo,
		"models/half plus/2/model.json":           halfPlusThree,
		"models/half plus/2/variables/index.data": "x",
		"models/half plus/README.md":              "no version",
		"models/half plus/":                       "",
		"models/other/1/model.json":               halfPlusTwo,
	}
}

func TestAModelInABucketIsServed(t *testing.T) {
	c := newCloud(t, twoVersions())
	files, _ := c.files(nil)
	inBuckets(t, files)
	model := oneModel("gs://models/half plus", versionPolicy{kind: "specific", specific: []int64{2}})
	core, _, _ := startCore(t, defaults(), model)
	eventually(t, "2 AVAILABLE", func() bool { return statesOf(core, "m") == "2 AVAILABLE" })
	expect(t, newRestAPI(core, ""), "POST", "/v1/models/m:predict", `{"inputs": 0}`, 200, "{\n    \"outputs\": 3.0\n}")
	const fields = "?fields=size%2Cgeneration%2Cupdated"
	want := []string{
		"metadata.google.internal /computeMetadata/v1/instance/service-accounts/default/token",
		"www.googleapis.com /storage/v1/b/models/o/half%20plus" + fields,
		"www.googleapis.com /storage/v1/b/models/o?fields=items%2Fname%2CnextPageToken&prefix=half%20plus%2F&maxResults=1",
		"www.googleapis.com /storage/v1/b/models/o?fields=items%2Fname%2Cprefixes%2CnextPageToken&delimiter=%2F&prefix=half%20plus%2F",
		"www.googleapis.com /storage/v1/b/models/o/half%20plus%2F2%2Fmodel.json" + fields,
		"storage.googleapis.com /models/half%20plus%2F2%2Fmodel.json bytes=0-67108863",
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.asked[:min(len(c.asked), len(want))]; !slices.Equal(got, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFolderOfSeveralPagesIsReadToTheEnd(t *testing.T) {
	c := newCloud(t, twoVersions())
	c.page = 1
	files, _ := c.files(nil)
	names, failure := files.children("gs://models/half plus")
	if want := []string{"1/", "2/", "README.md"}; failure != nil || !slices.Equal(names, want) {
		t.Errorf("got %q %v, want %q", names, failure, want)
	}
}

func TestABucketThatCannotBeReadSaysWhyAtEveryLook(t *testing.T) {
	c := newCloud(t, twoVersions())
	c.refuse(http.StatusForbidden)
	files, waits := c.files(nil)
	inBuckets(t, files)
	core, logged, done := startCore(t, defaults(), oneModel("gs://models/half plus", versionPolicy{}))
	line := "FileSystemStoragePathSource encountered a filesystem access error: Could not find base path gs://models/half plus " +
		"for servable m with error PERMISSION_DENIED: Error executing an HTTP request: HTTP response code 403 " +
		"with body 'refused\n'\n\t when reading metadata of gs://models/half plus\n"
	eventually(t, "the line at the next poll too", func() bool { return strings.Count(logged.String(), line) >= 2 })
	stillWaiting(t, done)
	if len(*waits) > 0 {
		t.Errorf("a refusal is tried again after %v", *waits)
	}
	c.refuse(0)
	eventually(t, "the model, with the permission", func() bool { return statesOf(core, "m") == "2 AVAILABLE" })
}

func TestWhatIsNotInTheBucketSaysSo(t *testing.T) {
	c := newCloud(t, twoVersions())
	files, _ := c.files(nil)
	for path, want := range map[string]string{
		"gs://models/nothing":   "NOT_FOUND: The specified path gs://models/nothing was not found.",
		"gs://models/half":      "NOT_FOUND: The specified path gs://models/half was not found.",
		"gs://models/half plus": "OK",
		"gs://models/other/":    "OK",
		"gs://models": "PERMISSION_DENIED: Error executing an HTTP request: HTTP response code 403 " +
			"with body 'no storage.buckets.get\n'",
		"gs:///half": "INVALID_ARGUMENT: GCS path doesn't contain a bucket name: gs:///half",
	} {
		if got := files.exists(path).String(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	captureLog(t)
	inBuckets(t, files)
	if _, failure := loadModel("gs://models/half plus/3"); failure == nil || !strings.HasPrefix(failure.String(),
		"NOT_FOUND: Could not find SavedModel .pb or .pbtxt at supplied export directory path: gs://models/half plus/3.") {
		t.Errorf("a version without a model: %v", failure)
	}
}

func TestOtherSchemesAreNotImplemented(t *testing.T) {
	want := "UNIMPLEMENTED: File system scheme 's3' not implemented (file: 's3://models/half')"
	if got := fileSystemOf("s3://models/half").exists("s3://models/half").String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	basePath := filepath.Join(t.TempDir(), "m")
	writeVersion(t, basePath, "1", halfPlusTwo)
	if names, failure := fileSystemOf("file://" + basePath).children("file://" + basePath); failure != nil || len(names) != 1 {
		t.Errorf("file://: got %v %v", names, failure)
	}
}

func TestWhatMayPassIsTriedAgainFor3Minutes(t *testing.T) {
	c := newCloud(t, twoVersions())
	c.refuse(http.StatusServiceUnavailable)
	files, waits := c.files(nil)
	want := "ABORTED: All 10 retry attempts failed. The last failure: Error executing an HTTP request: HTTP response code 503 " +
		"with body 'refused\n'\n\t when reading metadata of gs://models/other"
	if got := files.exists("gs://models/other").String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	least := []int{1, 2, 4, 8, 16, 32, 32, 32, 32, 32}
	if len(*waits) != len(least) {
		t.Fatalf("waits %v", *waits)
	}
	for i, wait := range *waits {
		if spare := wait - time.Duration(least[i])*time.Second; spare < 0 || spare > time.Second {
			t.Errorf("wait %d is %v, want %d s and up to one more", i, wait, least[i])
		}
	}
	files, waits = c.files(map[string]string{"GCS_RETRY_CONFIG_MAX_RETRIES": "2", "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "0"})
	if got := files.exists("gs://models/other").String(); !strings.HasPrefix(got, "ABORTED: All 2 retry") || len(*waits) != 0 {
		t.Errorf("got %s after waits %v", got, *waits)
	}
}

func TestACertificateOfAnUnknownAuthorityIsRefused(t *testing.T) {
	c := newCloud(t, twoVersions())
	once := map[string]string{"GCS_RETRY_CONFIG_MAX_RETRIES": "0"}
	_, once["CURL_CA_BUNDLE"] = certificateFor(t, "www.googleapis.com")
	files, _ := c.files(once)
	want := "ABORTED: All 0 retry attempts failed. The last failure: Error executing an HTTP request: libcurl code 60 meaning " +
		"'SSL peer certificate or SSH remote key was not OK', error details: SSL certificate problem: "
	if got := files.exists("gs://models/other").String(); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	once["CURL_CA_BUNDLE"] = "/nowhere.pem"
	files, _ = c.files(once)
	want = "FAILED_PRECONDITION: Error executing an HTTP request: libcurl code 77 meaning "
	if got := files.exists("gs://models/other").String(); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAHostThatCannotBeReachedSaysWhich(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	c := newCurl(func(string) string { return "" })
	_, failure := c.get("http://"+closed.Addr().String()+"/", http.Header{}, time.Minute)
	want := "UNAVAILABLE: Error executing an HTTP request: libcurl code 7 meaning 'Couldn't connect to server', " +
		"error details: Failed to connect to " + closed.Addr().String()
	if !strings.HasPrefix(failure.String(), want) {
		t.Errorf("got %s, want %s", failure, want)
	}
	silent := newCloud(t, nil)
	hold := make(chan struct{})
	silent.metadata = func(http.ResponseWriter, *http.Request) { <-hold }
	defer close(hold)
	c.idle = 50 * time.Millisecond
	header := http.Header{"Metadata-Flavor": {"Google"}}
	_, failure = c.get(silent.plain.URL, header, time.Minute)
	if !strings.Contains(failure.String(), "libcurl code 42 ") {
		t.Errorf("a server that says nothing: %s", failure)
	}
	c.idle = time.Minute
	_, failure = c.get(silent.plain.URL, header, 50*time.Millisecond)
	if !strings.Contains(failure.String(), "libcurl code 28 ") {
		t.Errorf("a server that takes too long: %s", failure)
	}
}

func TestAnObjectOfManyBlocksIsReadWhole(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 2*gcsBlock/16)
	c := newCloud(t, map[string]string{"models/large": content})
	files, _ := c.files(nil)
	got, failure := files.read("gs://models/large")
	if failure != nil || string(got) != content {
		t.Errorf("got %d bytes, %v, want %d", len(got), failure, len(content))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := c.asked[len(c.asked)-1]; !strings.HasSuffix(last, fmt.Sprintf("bytes=%d-%d", 2*gcsBlock, 3*gcsBlock-1)) {
		t.Errorf("the end is not looked for: %s", last)
	}
}
