package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

const (
	apiHost     = "www.googleapis.com"
	storageHost = "storage.googleapis.com"
)

// storage is Cloud Storage for readers.
type storage struct {
	files  http.Handler
	key    []byte
	access accessFile
}

func newStorage(folder string, key []byte, access accessFile) (*storage, error) {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		Seed: folder, NoListener: true, PublicHost: storageHost, ExternalURL: "https://" + apiHost})
	if err != nil {
		return nil, err
	}
	return &storage{server.HTTPHandler(), key, access}, nil
}

// target is what a request is about.
type target struct {
	bucket, object string
	permission     string // what it takes
	kind           string // what the permission is on
	api            bool   // asked by the JSON API, which answers errors in JSON
}

// targetOf is false for what is not served here.
func targetOf(r *http.Request) (target, bool) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host != apiHost && host != storageHost {
		return target{}, false
	}
	path := r.URL.EscapedPath()
	if rest, found := strings.CutPrefix(path, "/storage/v1/b/"); found {
		return apiTarget(rest)
	}
	bucket, object, isObject := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	internal := strings.HasPrefix(bucket, "_") // the library's own controls
	read := target{unescaped(bucket), unescaped(object), "storage.objects.get", "object", false}
	return read, host == storageHost && isObject && read.bucket != "" && read.object != "" && !internal
}

// apiTarget reads BUCKET, BUCKET/o or BUCKET/o/OBJECT.
func apiTarget(path string) (target, bool) {
	bucket, rest, inBucket := strings.Cut(path, "/")
	found := target{bucket: unescaped(bucket), permission: "storage.buckets.get", kind: "bucket", api: true}
	if !inBucket {
		return found, found.bucket != ""
	}
	found.permission = "storage.objects.list"
	kind, object, isObject := strings.Cut(rest, "/")
	if isObject && object != "" {
		found.object, found.permission, found.kind = unescaped(object), "storage.objects.get", "object"
	}
	return found, found.bucket != "" && kind == "o" && !strings.Contains(object, "/")
}

func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// serve answers one request and tells whose it was; "" is nobody's.
func (s *storage) serve(w http.ResponseWriter, r *http.Request) (identity string) {
	wanted, served := targetOf(r)
	if !served {
		http.NotFound(w, r)
		return ""
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		wanted.refuse(w, http.StatusMethodNotAllowed, "This stand-in only reads.")
		return ""
	}
	token, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if given {
		var good bool
		if identity, good = identityOf(s.key, token, time.Now()); !good {
			wanted.refuse(w, http.StatusUnauthorized, "Invalid Credentials")
			return ""
		}
	}
	allowed, err := s.access.load()
	switch {
	case err != nil:
		wanted.refuse(w, http.StatusInternalServerError, err.Error())
	case identity == "":
		wanted.deny(w, http.StatusUnauthorized, "Anonymous caller")
	case wanted.permission == "storage.buckets.get" || !allowed.reads(identity, wanted.bucket):
		wanted.deny(w, http.StatusForbidden, identity)
	default:
		s.files.ServeHTTP(w, r)
	}
	return identity
}

// deny says which permission is missing, in Cloud Storage's words.
func (t target) deny(w http.ResponseWriter, status int, caller string) {
	on := t.kind
	if t.permission == "storage.objects.list" {
		on = "bucket"
	}
	t.refuse(w, status, fmt.Sprintf("%s does not have %s access to the Google Cloud Storage %s. "+
		"Permission '%s' denied on resource (or it may not exist).", caller, t.permission, on, t.permission))
}

// apiError has its fields in the JSON API's order: TensorFlow logs the first 500 bytes only.
func apiError(status int, message string) any {
	type detail struct {
		Message string `json:"message"`
		Domain  string `json:"domain"`
		Reason  string `json:"reason"`
	}
	type problem struct {
		Code    int      `json:"code"`
		Message string   `json:"message"`
		Errors  []detail `json:"errors"`
	}
	reason := map[int]string{http.StatusUnauthorized: "required", http.StatusForbidden: "forbidden"}[status]
	return map[string]problem{"error": {status, message, []detail{{message, "global", reason}}}}
}

func (t target) refuse(w http.ResponseWriter, status int, message string) {
	if t.api {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(status)
		body, _ := json.MarshalIndent(apiError(status, message), "", "  ")
		w.Write(append(body, '\n'))
		return
	}
	code := map[int]string{http.StatusUnauthorized: "AuthenticationRequired", http.StatusForbidden: "AccessDenied"}[status]
	if code == "" {
		code = "InvalidArgument"
	}
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprint(w, "<?xml version='1.0' encoding='UTF-8'?>")
	xml.NewEncoder(w).Encode(struct {
		XMLName                struct{} `xml:"Error"`
		Code, Message, Details string
	}{Code: code, Message: "Access denied.", Details: message})
}
