package provider

import (
	"context"
	"fmt"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/cluster"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/diff"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Diff compares the live state that was last seen, as far as the program had a say in it, with the new inputs.
func (p *Provider) Diff(ctx context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	target, err := p.configured()
	if err != nil {
		return nil, err
	}
	olds, program := property.Decode(req.GetOlds()), property.Decode(req.GetNews())
	if isRelease(req.GetUrn()) {
		return p.releases.Diff(olds, program, req.GetIgnoreChanges())
	}
	state := object.ParseCheckpoint(olds)
	news := object.Normalise(object.Plain(program))
	before := p.comparable(target, state, news)

	found := diff.Compare(before, news, diff.ForceNew(news, diff.Mutable{
		Secrets: target.Settings.MutableSecrets, ConfigMaps: target.Settings.MutableConfigMaps,
	}))
	if err := found.Ignore(req.GetIgnoreChanges()); err != nil {
		return nil, err
	}
	response := &pulumirpc.DiffResponse{
		Changes:         pulumirpc.DiffResponse_DIFF_NONE,
		Replaces:        found.Replaces(),
		DetailedDiff:    found,
		HasDetailedDiff: true,
	}
	if len(found) > 0 {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
	}
	if object.AnnotatedTrue(news, object.ReplaceUnready) && p.isUnready(ctx, target, req.GetUrn(), state.Live) {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		response.Replaces = append(response.Replaces, fmt.Sprintf(".metadata.annotations[%q]", object.ReplaceUnready))
	}
	// A name that the user fixed has to be free before the new object can have it.
	response.DeleteBeforeReplace = len(response.Replaces) > 0 &&
		object.IsNamed(news) && !object.AnnotatedTrue(news, object.Autonamed) &&
		object.Name(news) == object.Name(state.Live) && object.Namespace(news) == object.Namespace(state.Live)
	return response, nil
}

// comparable returns the old side of the comparison: the live state, pruned to what the program had said. It evens out
// what is no difference on both sides, such as the namespace "default" said or not.
func (p *Provider) comparable(target *cluster.Cluster, state object.Checkpoint, news map[string]any) map[string]any {
	before := object.Prune(state.Live, object.Normalise(state.Inputs))
	if before == nil {
		before = map[string]any{}
	}
	if target.Namespaced(object.KindOfObject(news)) {
		for _, side := range []map[string]any{before, news} {
			if !isSet(side, "metadata", "namespace") {
				object.SetNamespace(side, metav1.NamespaceDefault)
			}
		}
	} else {
		object.SetNamespace(before, "")
		object.SetNamespace(news, "")
	}
	for _, key := range []string{"apiVersion", "kind"} {
		if _, ok := before[key]; !ok {
			before[key] = news[key]
		}
	}
	object.Remove(before, "metadata", "resourceVersion")
	if object.Name(news) != "" {
		object.SetMetadata(before, "name", object.Name(state.Live))
	}
	return before
}

// isUnready looks whether a Job is to be replaced for not having completed.
func (p *Provider) isUnready(ctx context.Context, target *cluster.Cluster, urn string, old map[string]any) bool {
	if object.KindOfObject(old).Kind != "Job" {
		p.engine.Log(ctx, engine.Warning, urn, "replaceUnready annotation is not supported for this resource")
		return false
	}
	if target.Unreachable() != nil {
		p.engine.Log(ctx, engine.Warning, urn, "Cluster is unreachable, skipping replaceUnready check")
		return false
	}
	obj := &unstructured.Unstructured{Object: old}
	client, err := target.Client(obj)
	if err != nil {
		return false
	}
	live, err := client.Get(ctx, obj.GetName(), metav1.GetOptions{})
	if err != nil {
		return false
	}
	list, _ := object.Field(live.Object, "status", "conditions")
	conditions, _ := list.([]any)
	for _, raw := range conditions {
		condition, _ := raw.(map[string]any)
		if condition["type"] == "Complete" && condition["status"] == "True" {
			return false
		}
	}
	return true
}
