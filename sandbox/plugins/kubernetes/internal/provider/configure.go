package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/cluster"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/diff"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/release"
)

const identifier = "clusterIdentifier"

// CheckConfig accepts any configuration, also one that is not known yet, except in strict mode: then the provider has
// to be an explicit one with a kubeconfig and a context.
func (p *Provider) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	news := property.RevealMap(property.Decode(req.GetNews()))
	response := &pulumirpc.CheckResponse{Inputs: req.GetNews()}
	fail := func(name, reason string) {
		response.Failures = append(response.Failures, &pulumirpc.CheckFailure{Property: name, Reason: reason})
	}
	if isStrict(news) {
		if strings.HasPrefix(object.NameOfURN(req.GetUrn()), "default") {
			fail("", "strict mode prohibits default provider")
		}
		for _, name := range []string{"kubeconfig", "context"} {
			if value, ok := news[name]; !ok || value == "" {
				fail(name, fmt.Sprintf("strict mode requires Provider %q argument", name))
			}
		}
	}
	return response, nil
}

func isStrict(news map[string]any) bool {
	if text, ok := news["strictMode"].(string); ok {
		return text == "true"
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(os.Getenv("PULUMI_CONFIG")), &config); err != nil {
		return false
	}
	return config["strictMode"] == "true"
}

// DiffConfig decides whether a changed configuration means another cluster, so that every object has to be replaced.
// A clusterIdentifier decides alone where both configurations have one; else an active cluster that differs does, and
// anything that is not known yet has to be taken for another cluster.
func (p *Provider) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds := property.RevealMap(property.Decode(req.GetOlds()))
	news := property.RevealMap(property.Decode(req.GetNews()))
	delete(olds, "version")
	delete(news, "version")
	changed := changedKeys(olds, news)
	if len(changed) == 0 {
		return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
	}
	response := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_SOME}
	before, hadIdentifier := olds[identifier]
	after, hasIdentifier := news[identifier]
	sameIdentifier := hadIdentifier && hasIdentifier && diff.Equal(before, after)
	if hadIdentifier && hasIdentifier && !sameIdentifier {
		response.Replaces = append(response.Replaces, identifier)
	}
	for _, key := range []string{"kubeconfig", "context", "cluster"} {
		if _, unknown := news[key].(property.Unknown); unknown {
			response.Diffs = []string{key}
			if !sameIdentifier {
				response.Replaces = append(response.Replaces, key)
			}
			return response, nil
		}
	}
	response.Diffs = changed
	same, known, err := cluster.SameCluster(olds, news)
	if err != nil {
		return nil, err
	}
	if known && !same {
		for _, key := range []string{"kubeconfig", "context", "cluster"} {
			if slices.Contains(changed, key) {
				response.Replaces = append(response.Replaces, key)
			}
		}
	}
	if sameIdentifier {
		response.Replaces = nil
	}
	return response, nil
}

func changedKeys(olds, news map[string]any) []string {
	changed := map[string]bool{}
	for key, value := range olds {
		other, ok := news[key]
		changed[key] = !ok || !diff.Equal(value, other)
	}
	for key := range news {
		if _, ok := olds[key]; !ok {
			changed[key] = true
		}
	}
	var keys []string
	for key, differs := range changed {
		if differs {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return keys
}

// Configure connects to the cluster. One that cannot be had fails only what needs it.
func (p *Provider) Configure(_ context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	settings, err := cluster.ReadSettings(req.GetVariables())
	if err != nil {
		return nil, err
	}
	connected, err := cluster.Connect(p.ctx, settings)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cluster = connected
	p.keepSecrets = req.GetAcceptSecrets()
	p.releases = release.New(p.ctx, connected, p.engine)
	return &pulumirpc.ConfigureResponse{
		AcceptSecrets:                   true,
		SupportsPreview:                 true,
		SupportsAutonamingConfiguration: true,
	}, nil
}
