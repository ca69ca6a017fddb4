package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	metadataRoot = "/computeMetadata/v1/"
	accountPath  = metadataRoot + "instance/service-accounts/default/"
)

// metadata is GKE's metadata server, as far as it serves identities.
type metadata struct {
	pods     podFinder
	pool     string
	key      []byte
	access   accessFile
	lifetime time.Duration
}

// podFinder tells which service account a pod with that address runs under.
type podFinder interface {
	find(ctx context.Context, address string) (serviceAccount, error)
}

// serviceAccount is a Kubernetes service account; google is the Google service account that its annotation names.
type serviceAccount struct{ namespace, name, google string }

var errNoPod = errors.New("no pod has this address")

// serve answers one request and tells whose it was.
func (m *metadata) serve(w http.ResponseWriter, r *http.Request) (identity string) {
	w.Header().Set("Metadata-Flavor", "Google")
	w.Header().Set("Server", "GKE Metadata Server")
	switch {
	case r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "Request contains an X-Forwarded-For header.", http.StatusForbidden)
		return ""
	case r.URL.Path == "/" || r.URL.Path == metadataRoot:
		return ""
	case r.Header.Get("Metadata-Flavor") != "Google":
		http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
		return ""
	case r.URL.Path == metadataRoot+"project/project-id":
		w.Write([]byte(strings.TrimSuffix(m.pool, ".svc.id.goog")))
		return ""
	case r.URL.Path != accountPath+"token" && r.URL.Path != accountPath+"email":
		http.NotFound(w, r)
		return ""
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	account, err := m.pods.find(r.Context(), host)
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, errNoPod) {
			status = http.StatusNotFound
		}
		http.Error(w, err.Error()+": "+host, status)
		return ""
	}
	itself := m.pool + "[" + account.namespace + "/" + account.name + "]"
	identity = itself
	if account.google != "" {
		identity = account.google
	}
	if strings.HasSuffix(r.URL.Path, "/email") {
		if account.google == "" {
			identity = m.pool
		}
		w.Write([]byte(identity))
		return itself
	}
	m.token(w, itself, identity)
	return itself
}

// token hands out a token of an identity to who may act as it.
func (m *metadata) token(w http.ResponseWriter, itself, identity string) {
	allowed, err := m.access.load()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if !allowed.actsAs(itself, identity) {
		http.Error(w, "Unable to generate access token; IAM returned 403 Forbidden: Permission "+
			"'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).\n"+
			"This error could be caused by a missing IAM policy binding on the target IAM service account.",
			http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"access_token": newToken(m.key, identity, time.Now().Add(m.lifetime)),
		"expires_in":   int(m.lifetime.Seconds()),
		"token_type":   "Bearer",
	})
}
