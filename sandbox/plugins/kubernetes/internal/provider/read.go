package provider

import (
	"context"
	"errors"
	"fmt"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/protobuf/types/known/emptypb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/apply"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/await"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/cluster"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

const deleteUnreachableHint = "rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE environment variable set to \"true\""

// Read fetches the live object for a refresh, an import or a get. An object that is gone is an empty answer.
func (p *Provider) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	target, err := p.configured()
	if err != nil {
		return nil, err
	}
	if reason := target.Unreachable(); reason != nil {
		return p.readUnreachable(ctx, target, req, reason)
	}
	urn := req.GetUrn()
	olds, program := property.Decode(req.GetProperties()), property.Decode(req.GetInputs())
	if isRelease(urn) {
		return p.readRelease(req.GetId(), olds)
	}
	namespace, name := object.ParseID(req.GetId())
	if name == "" {
		return nil, fmt.Errorf(
			"failed to read resource because of a failure to parse resource name from request ID: %s", req.GetId())
	}
	old := object.ParseCheckpoint(olds)
	inputs := object.Normalise(object.Plain(program))
	fresh, err := complete(inputs, old, urn, namespace, name)
	if err != nil {
		return nil, err
	}
	live, unready, err := p.lookUp(target, urn, name, inputs, fresh)
	if err != nil || live == nil {
		return &pulumirpc.ReadResponse{}, err
	}
	liveInputs := object.Prune(live.Object, inputs)
	if fresh {
		liveInputs = importable(live.Object)
	}
	initial := old.InitialVersion
	if initial == "" {
		initial = object.Text(inputs, "apiVersion")
	}
	state, err := p.encode(object.Checkpoint{
		Inputs: liveInputs, Live: live.Object, InitialVersion: initial, FieldManager: managerName(inputs, old.FieldManager),
	}.Tree(program))
	if err != nil {
		return nil, err
	}
	property.CopySecrets(liveInputs, program)
	encodedInputs, err := p.encode(liveInputs)
	if err != nil {
		return nil, err
	}
	if unready != nil {
		return nil, incomplete(req.GetId(), unready, state, encodedInputs)
	}
	return &pulumirpc.ReadResponse{Id: req.GetId(), Properties: state, Inputs: encodedInputs}, nil
}

// complete fills in what inputs need to find the object by. fresh tells that there is no earlier state: an import.
func complete(inputs map[string]any, old object.Checkpoint, urn, namespace, name string) (fresh bool, err error) {
	if !object.KindOfObject(inputs).Empty() {
		return false, nil
	}
	if object.KindOfObject(old.Live).Empty() {
		kind, err := object.KindOf(urn)
		if err != nil {
			return false, err
		}
		inputs["apiVersion"], inputs["kind"] = kind.GroupVersion().String(), kind.Kind
		fresh = true
	} else {
		inputs["apiVersion"], inputs["kind"] = old.Live["apiVersion"], old.Live["kind"]
	}
	if object.Name(inputs) == "" {
		object.SetMetadata(inputs, "name", name)
	}
	if object.Namespace(inputs) == "" && namespace != "" {
		object.SetNamespace(inputs, namespace)
	}
	return fresh, nil
}

// lookUp returns the live object, nil when there is none, and what keeps it from being ready.
func (p *Provider) lookUp(
	target *cluster.Cluster, urn, name string, inputs map[string]any, fresh bool,
) (live *unstructured.Unstructured, unready, err error) {
	client, err := target.Client(&unstructured.Unstructured{Object: inputs})
	if meta.IsNoMatchError(err) {
		return nil, nil, nil // with its definition, the object is gone too
	}
	if err != nil {
		return nil, nil, err
	}
	live, err = client.Get(p.ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil, nil
	}
	if err != nil || fresh {
		return live, nil, err
	}
	report := p.report(urn)
	unready = await.Read(p.ctx, await.Subject{
		Inputs: inputs, Written: live, Client: client, Dynamic: target.Dynamic, Report: report,
	})
	var failure *await.Failure
	if unready != nil && !errors.As(unready, &failure) {
		return nil, nil, unready
	}
	report.Clear()
	return live, unready, nil
}

// importable returns what of a live object a program could have said.
func importable(live map[string]any) map[string]any {
	inputs, _ := property.Reveal(live).(map[string]any)
	delete(inputs, "status")
	for _, field := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
		object.Remove(inputs, "metadata", field)
	}
	for _, key := range []string{"deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"} {
		object.Remove(inputs, "metadata", "annotations", key)
	}
	if annotations, ok := object.Field(inputs, "metadata", "annotations"); ok {
		if named, ok := annotations.(map[string]any); ok && len(named) == 0 {
			object.Remove(inputs, "metadata", "annotations")
		}
	}
	return inputs
}

func (p *Provider) readUnreachable(
	ctx context.Context, target *cluster.Cluster, req *pulumirpc.ReadRequest, reason error,
) (*pulumirpc.ReadResponse, error) {
	p.warnUnreachable(ctx, req.GetUrn(), reason)
	if target.Settings.DeleteUnreachable {
		p.infoDeleting(ctx, req.GetUrn())
		return &pulumirpc.ReadResponse{}, nil
	}
	if target.Settings.SkipUpdateUnreachable {
		p.engine.Log(ctx, engine.Info, req.GetUrn(), "configured Kubernetes cluster is unreachable and the "+
			"`skipUnreachable` option is enabled. Returned data could not reflect the actual cluster configuration.")
		return &pulumirpc.ReadResponse{Id: req.GetId(), Properties: req.GetProperties(), Inputs: req.GetInputs()}, nil
	}
	return nil, errors.New("failed to read resource state due to unreachable cluster. If the cluster was deleted, " +
		"you can remove this resource from Pulumi state by " + deleteUnreachableHint)
}

func (p *Provider) warnUnreachable(ctx context.Context, urn string, reason error) {
	p.engine.Log(ctx, engine.Warning, urn, fmt.Sprintf("configured Kubernetes cluster is unreachable: %v", reason))
}

func (p *Provider) infoDeleting(ctx context.Context, urn string) {
	p.engine.Log(ctx, engine.Info, urn, "configured Kubernetes cluster is unreachable and the `deleteUnreachable` "+
		"option is enabled. Deleting the unreachable resource from Pulumi state")
}

// Delete deletes the object and waits until it is gone. One that is gone already is fine.
func (p *Provider) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	target, err := p.configured()
	if err != nil {
		return nil, err
	}
	urn := req.GetUrn()
	reason := target.Unreachable()
	if isRelease(urn) {
		if reason != nil {
			return nil, fmt.Errorf("can't delete Helm Release with unreachable cluster. Reason: %q", reason)
		}
		return &emptypb.Empty{}, p.releases.Delete(ctx, urn, property.Decode(req.GetProperties()))
	}
	if reason != nil {
		p.warnUnreachable(ctx, urn, reason)
		if target.Settings.DeleteUnreachable {
			p.infoDeleting(ctx, urn)
			return &emptypb.Empty{}, nil
		}
		return nil, errors.New("configured Kubernetes cluster is unreachable. If the cluster was deleted, " +
			"you can remove this resource from Pulumi state by " + deleteUnreachableHint)
	}
	state := object.ParseCheckpoint(property.Decode(req.GetProperties()))
	last := &unstructured.Unstructured{Object: state.Live}
	client, err := target.Client(last)
	if meta.IsNoMatchError(err) {
		return &emptypb.Empty{}, nil
	}
	if err != nil {
		return nil, err
	}
	_, name := object.ParseID(req.GetId())
	live, err := apply.Delete(p.ctx, client, name, state.Inputs)
	if err != nil || live == nil {
		return &emptypb.Empty{}, err
	}
	report := p.report(urn)
	err = await.Gone(p.ctx, await.Subject{
		Inputs: state.Inputs, Written: live, Client: client, Dynamic: target.Dynamic, Report: report,
		Timeout: await.Timeout(req.GetTimeout(), state.Inputs),
	}, live)
	var failure *await.Failure
	if errors.As(err, &failure) {
		state.Live = failure.Object.Object
		kept, encodeErr := p.encode(state.Tree(property.Decode(req.GetProperties())))
		if encodeErr != nil {
			return nil, encodeErr
		}
		return nil, incomplete(object.ID(live.GetNamespace(), name), err, kept, nil)
	}
	report.Clear()
	return &emptypb.Empty{}, err
}
