package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/apply"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/await"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/cluster"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Create creates the object and waits until it is ready. A preview asks the server what would come of it, where the
// server can know.
func (p *Provider) Create(_ context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	target, err := p.configured()
	if err != nil {
		return nil, err
	}
	urn := req.GetUrn()
	program := property.Decode(req.GetProperties())
	if isRelease(urn) {
		return p.createRelease(urn, program, req.GetPreview())
	}
	inputs := object.Plain(program)
	asIs := &pulumirpc.CreateResponse{Properties: req.GetProperties()}
	if req.GetPreview() && (property.HasUnknown(inputs) || !target.Serves(inputs)) {
		return asIs, nil
	}
	if reason := target.Unreachable(); reason != nil {
		return nil, fmt.Errorf("configured Kubernetes cluster is unreachable: %w", reason)
	}
	writer := p.writer(target, urn, managerName(inputs, ""), req.GetPreview())
	written, err := writer.Create(p.ctx, inputs)
	switch {
	case err == nil:
	case req.GetPreview() && (apierrors.IsForbidden(err) || apierrors.IsAlreadyExists(err) ||
		errors.Is(err, apply.ErrNamespaceMissing) || dryRunRefused(err)):
		return asIs, nil
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("creation of resource %q with kind %s failed because the Kubernetes API server "+
			"reported that the apiVersion for this resource does not exist. "+
			"Verify that any required CRDs have been created: %w", urn, kindText(inputs), err)
	default:
		return nil, fmt.Errorf("resource %q was not successfully created by the Kubernetes API server: %w", urn, err)
	}
	checkpoint := object.Checkpoint{
		Inputs: inputs, Live: written.Object,
		InitialVersion: object.Text(inputs, "apiVersion"), FieldManager: writer.Manager,
	}
	if req.GetPreview() {
		// A status that is empty now would be taken for what it will be.
		delete(checkpoint.Live, "status")
		state, err := p.encode(checkpoint.Tree(program))
		return &pulumirpc.CreateResponse{Properties: state}, err
	}
	live, unready := p.ready(target, writer, req.GetTimeout(), inputs, written)
	checkpoint.Live = live.Object
	state, err := p.encode(checkpoint.Tree(program))
	if err != nil {
		return nil, err
	}
	id := object.ID(live.GetNamespace(), live.GetName())
	if unready != nil {
		return nil, incomplete(id, fmt.Errorf("resource %q was successfully created, but the Kubernetes API server "+
			"reported that it failed to fully initialize or become live: %w", urn, unready), state, nil)
	}
	if object.IsCRD(inputs) {
		target.Forget()
	}
	return &pulumirpc.CreateResponse{Id: id, Properties: state}, nil
}

// Update brings the object to what the inputs say and waits until it is ready.
func (p *Provider) Update(_ context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	target, err := p.configured()
	if err != nil {
		return nil, err
	}
	urn := req.GetUrn()
	olds, program := property.Decode(req.GetOlds()), property.Decode(req.GetNews())
	if isRelease(urn) {
		return p.updateRelease(olds, program, req.GetPreview())
	}
	inputs := object.Normalise(object.Plain(program))
	asIs := &pulumirpc.UpdateResponse{Properties: req.GetNews()}
	if req.GetPreview() && (property.HasUnknown(inputs) || !target.Serves(inputs)) {
		return asIs, nil
	}
	if reason := target.Unreachable(); reason != nil {
		return nil, fmt.Errorf("configured Kubernetes cluster is unreachable: %w", reason)
	}
	old := object.ParseCheckpoint(olds)
	writer := p.writer(target, urn, managerName(inputs, old.FieldManager), req.GetPreview())
	name := object.Name(old.Live)
	live, err := writer.Update(p.ctx, name, inputs, req.GetIgnoreChanges())
	switch {
	case err == nil:
	case req.GetPreview() && apierrors.IsForbidden(err):
		return asIs, nil
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("update of resource %q failed because the Kubernetes API server "+
			"reported that the apiVersion for this resource does not exist. "+
			"Verify that any required CRDs have been created: %w", urn, err)
	default:
		// The object is as it was, but it is there: the engine keeps its state and tries again in the next update.
		if live, _ = p.readLive(target, old.Live); live == nil {
			return nil, fmt.Errorf("update of resource %q failed: %w", urn, err)
		}
	}
	failed := err
	if failed == nil && !req.GetPreview() {
		live, failed = p.ready(target, writer, req.GetTimeout(), inputs, live)
	}
	initial := old.InitialVersion
	if initial == "" {
		initial = object.Text(inputs, "apiVersion")
	}
	state, err := p.encode(object.Checkpoint{
		Inputs: inputs, Live: live.Object, InitialVersion: initial, FieldManager: writer.Manager,
	}.Tree(program))
	if err != nil {
		return nil, err
	}
	if failed != nil {
		id := object.ID(live.GetNamespace(), live.GetName())
		return nil, incomplete(id, fmt.Errorf("the Kubernetes API server reported that %q failed to fully initialize "+
			"or become live: %w", id, failed), state, nil)
	}
	return &pulumirpc.UpdateResponse{Properties: state}, nil
}

func (p *Provider) writer(target *cluster.Cluster, urn, manager string, preview bool) apply.Writer {
	return apply.Writer{Cluster: target, Manager: manager, Preview: preview, Report: p.report(urn)}
}

// ready waits for a written object. The object returned is never nil.
func (p *Provider) ready(
	target *cluster.Cluster, writer apply.Writer, timeout float64, inputs map[string]any,
	written *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	client, err := target.Client(written)
	if err != nil {
		return written, err
	}
	live, err := await.Ready(p.ctx, await.Subject{
		Inputs: inputs, Written: written, Client: client, Dynamic: target.Dynamic,
		Report: writer.Report, Timeout: await.Timeout(timeout, inputs),
	})
	writer.Report.Clear()
	if live == nil {
		live = written
	}
	return live, err
}

func (p *Provider) readLive(target *cluster.Cluster, old map[string]any) (*unstructured.Unstructured, error) {
	obj := &unstructured.Unstructured{Object: old}
	client, err := target.Client(obj)
	if err != nil {
		return nil, err
	}
	return client.Get(p.ctx, obj.GetName(), metav1.GetOptions{})
}

// managerName returns who applies an object: the annotation's name, else the one kept in the state, else a new one.
func managerName(inputs map[string]any, kept string) string {
	if name := object.Annotation(inputs, object.PatchFieldManager); name != "" {
		return name
	}
	if kept != "" {
		return kept
	}
	return uniqueName("pulumi-kubernetes-", []byte(rand.Text()))
}

func kindText(obj map[string]any) string {
	kind := object.KindOfObject(obj)
	return kind.GroupVersion().String() + "/" + kind.Kind
}

// dryRunRefused tells whether the server, or a webhook in its way, does not do dry runs.
func dryRunRefused(err error) bool {
	var refused apierrors.APIStatus
	if !apierrors.IsBadRequest(err) || !errors.As(err, &refused) {
		return false
	}
	message := refused.Status().Message
	return strings.Contains(message, "does not support dry run") ||
		strings.HasPrefix(message, "the dryRun ") && strings.HasSuffix(message, " feature is disabled")
}
