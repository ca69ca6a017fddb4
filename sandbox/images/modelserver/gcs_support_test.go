package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const goodToken = "token-of-the-pod"

// cloud plays Google's hosts: a metadata server, and buckets that want its token.
type cloud struct {
	mu       sync.Mutex
	objects  map[string]string // BUCKET/OBJECT
	metadata http.HandlerFunc
	refusal  int      // an HTTP status in place of the answer of a bucket; 0 is none
	asked    []string // HOST PATH?QUERY [RANGE]
	page     int      // names in a listing; 0 is all
	bundle   string   // file with the certificate to trust
	plain    *httptest.Server
	secured  *httptest.Server
}

func newCloud(t *testing.T, objects map[string]string) *cloud {
	t.Helper()
	c := &cloud{objects: objects}
	c.metadata = func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"access_token": %q, "expires_in": 3600, "token_type": "Bearer"}`, goodToken)
	}
	c.plain = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.note(r)
		if r.Header.Get("Metadata-Flavor") != "Google" {
			http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
			return
		}
		c.metadata(w, r)
	}))
	c.secured = httptest.NewUnstartedServer(http.HandlerFunc(c.storage))
	var pair tls.Certificate
	pair, c.bundle = certificateFor(t, "www.googleapis.com", "storage.googleapis.com")
	c.secured.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	c.secured.Config.ErrorLog = discard
	c.secured.StartTLS()
	t.Cleanup(c.plain.Close)
	t.Cleanup(c.secured.Close)
	return c
}

// files is the file system under test: its names lead to the cloud, it waits for nothing and keeps what it would wait.
func (c *cloud) files(variables map[string]string) (*gcsFiles, *[]time.Duration) {
	waits := &[]time.Duration{}
	files := newGCS(func(name string) string {
		if value, set := variables[name]; set || name != "CURL_CA_BUNDLE" {
			return value
		}
		return c.bundle
	})
	sleep := func(wait time.Duration) { *waits = append(*waits, wait) }
	files.retry.sleep, files.tokens.retry.sleep = sleep, sleep
	files.http.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		target := c.plain
		if strings.HasSuffix(address, ":443") {
			target = c.secured
		}
		return (&net.Dialer{}).DialContext(ctx, network, target.Listener.Addr().String())
	}
	return files, waits
}

func (c *cloud) refuse(httpStatus int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal = httpStatus
}

// note keeps a request, and gives the refusal in force.
func (c *cloud) note(r *http.Request) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, strings.TrimSpace(r.Host+" "+r.URL.RequestURI()+" "+r.Header.Get("Range")))
	return c.refusal
}

func (c *cloud) storage(w http.ResponseWriter, r *http.Request) {
	if code := c.note(r); code != 0 {
		http.Error(w, "refused", code)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+goodToken {
		http.Error(w, "Anonymous caller does not have storage.objects.get access", http.StatusUnauthorized)
		return
	}
	bucket, object, isObject := strings.Cut(strings.TrimPrefix(r.URL.Path, "/storage/v1/b/"), "/o")
	content, found := c.objects[bucket+"/"+strings.TrimPrefix(object, "/")]
	switch {
	case r.Host == "storage.googleapis.com":
		c.content(w, r)
	case !isObject:
		http.Error(w, "no storage.buckets.get", http.StatusForbidden)
	case object == "":
		c.list(w, r, bucket)
	case !found:
		http.NotFound(w, r)
	default:
		fmt.Fprintf(w, `{"size": "%d", "generation": "7", "updated": "2026-01-01T00:00:00Z"}`, len(content))
	}
}

func (c *cloud) content(w http.ResponseWriter, r *http.Request) {
	content, found := c.objects[strings.TrimPrefix(r.URL.Path, "/")]
	if !found {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Unix(1, 0), strings.NewReader(content))
}

func (c *cloud) list(w http.ResponseWriter, r *http.Request, bucket string) {
	query := r.URL.Query()
	var names []string
	for name := range c.objects {
		name, ours := strings.CutPrefix(name, bucket+"/")
		rest, below := strings.CutPrefix(name, query.Get("prefix"))
		if !ours || !below {
			continue
		}
		if folder, _, deeper := strings.Cut(rest, "/"); deeper && query.Get("delimiter") == "/" {
			name = query.Get("prefix") + folder + "/"
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	from, _ := strconv.Atoi(query.Get("pageToken"))
	answer := map[string]any{}
	to := len(names)
	if most, _ := strconv.Atoi(query.Get("maxResults")); most > 0 {
		to = min(to, from+most)
	}
	if c.page > 0 && to > from+c.page {
		to = from + c.page
		answer["nextPageToken"] = strconv.Itoa(to)
	}
	items, prefixes := []map[string]string{}, []string{}
	for _, name := range names[from:to] {
		if strings.HasSuffix(name, "/") && query.Get("delimiter") == "/" && name != query.Get("prefix") {
			prefixes = append(prefixes, name)
		} else {
			items = append(items, map[string]string{"name": name})
		}
	}
	answer["items"], answer["prefixes"] = items, prefixes
	json.NewEncoder(w).Encode(answer)
}

// certificateFor makes a certificate that signs itself, and the file with which it is trusted.
func certificateFor(t *testing.T, hosts ...string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	made, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}, bundle
}
