package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// access says who may do what. What has no entry is open to whoever has a token.
type access struct {
	// Bucket -> identities with roles/storage.objectViewer on it.
	Readers map[string][]string `json:"readers"`
	// Google service account -> identities with roles/iam.workloadIdentityUser on it, as POOL[NAMESPACE/NAME].
	Users map[string][]string `json:"users"`
}

func (a access) reads(identity, bucket string) bool {
	readers, limited := a.Readers[bucket]
	return !limited || slices.Contains(readers, identity)
}

func (a access) actsAs(identity, account string) bool {
	users, limited := a.Users[account]
	return !limited || slices.Contains(users, identity)
}

// accessFile is read anew for each request, so that a test changes it under running servers; "" is no file.
type accessFile string

func (f accessFile) load() (access, error) {
	var found access
	if f == "" {
		return found, nil
	}
	text, err := os.ReadFile(string(f))
	if err != nil {
		return found, err
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return found, fmt.Errorf("%s: %w", f, err)
	}
	return found, nil
}
