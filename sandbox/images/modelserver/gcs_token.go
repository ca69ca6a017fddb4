package main

import (
	"encoding/json"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	metadataHost   = "metadata.google.internal"
	tokenPath      = "/computeMetadata/v1/instance/service-accounts/default/token"
	tokenMargin    = 60 // seconds; a token that ends sooner is not used any more
	tokenTimeLimit = time.Hour
)

// tokens gets the process's token as TensorFlow does, with its trap: where the metadata server fails at the first use,
// even after retries, the empty token is kept for the life of the process, and only public objects can be read.
type tokens struct {
	mu      sync.Mutex
	token   string
	ends    int64 // Unix seconds
	env     func(string) string
	http    *curl
	retry   retryPolicy
	seconds func() int64
}

func newTokens(env func(string) string, client *curl) *tokens {
	return &tokens{env: env, http: client, retry: metadataRetryPolicy(), seconds: func() int64 { return time.Now().Unix() }}
}

// get never fails: what cannot be had is an empty token, and a line in the log.
func (t *tokens) get() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ends > 0 && t.seconds() < t.ends-tokenMargin {
		return t.token
	}
	if token := t.env("GOOGLE_AUTH_TOKEN_FOR_TESTING"); token != "" {
		t.token, t.ends = token, math.MaxInt64
		return token
	}
	noFile := t.fromFiles()
	if strings.EqualFold(t.env("NO_GCE_CHECK"), "true") {
		log.info(srcAuth, "Attempting an empty bearer token since no token was retrieved from files, and GCE metadata check was skipped.")
		t.token, t.ends = "", 0
		return ""
	}
	failure := t.fromMetadata()
	if failure != nil {
		log.warning(srcAuth, "All attempts to get a Google authentication bearer token failed, returning an empty token. "+
			"Retrieving token from files failed with \"%s\". Retrieving token from GCE failed with \"%s\".", noFile, failure)
		t.token, t.ends = "", math.MaxInt64
	}
	return t.token
}

// fromFiles only looks: credentials in files are not what this server stands in for.
func (t *tokens) fromFiles() *status {
	if file := t.env("GOOGLE_APPLICATION_CREDENTIALS"); file != "" {
		if _, err := os.Stat(file); err == nil {
			return &status{codeUnimplemented, "This server reads no credentials file: " + file}
		}
	}
	return &status{codeNotFound, "Could not locate the credentials file."}
}

func (t *tokens) fromMetadata() *status {
	asked := t.seconds()
	uri := "http://" + orDefault(t.env("GCE_METADATA_HOST"), metadataHost) + tokenPath
	var body []byte
	failure := t.retry.call(func() (failure *status) {
		body, failure = t.http.get(uri, http.Header{"Metadata-Flavor": {"Google"}}, tokenTimeLimit)
		return failure
	})
	if failure != nil {
		return failure
	}
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires *int64 `json:"expires_in"`
	}
	switch {
	case json.Unmarshal(body, &answer) != nil:
		return &status{codeInternal, "Couldn't parse JSON response from OAuth server."}
	case answer.Type != "Bearer":
		return &status{codeFailedPrecondition, "Unexpected Oauth token type: " + answer.Type}
	case answer.Expires == nil:
		return &status{codeFailedPrecondition, "Couldn't read a JSON value 'expires_in'."}
	case answer.Token == "":
		return &status{codeFailedPrecondition, "Couldn't read a JSON value 'access_token'."}
	}
	t.token, t.ends = answer.Token, asked+*answer.Expires
	return nil
}
