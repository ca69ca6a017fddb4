// Package provider answers the Pulumi engine: the plugin's side of the ResourceProvider protocol.
package provider

import (
	"context"
	"errors"
	"sync"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/await"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/cluster"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/release"
)

// Provider is one configured instance of the plugin: one cluster.
type Provider struct {
	pulumirpc.UnimplementedResourceProviderServer

	version string
	ctx     context.Context // ends when the engine cancels
	cancel  context.CancelFunc

	working     sync.WaitGroup // the calls under way
	mu          sync.RWMutex
	engine      *engine.Engine
	cluster     *cluster.Cluster
	releases    *release.Provider
	keepSecrets bool
}

// New returns a provider that is still to be configured.
func New(host *engine.Engine, version string) *Provider {
	ctx, cancel := context.WithCancel(context.Background())
	return &Provider{version: version, ctx: ctx, cancel: cancel, engine: host}
}

// GetPluginInfo tells the plugin's version.
func (p *Provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: p.version}, nil
}

// GetSchema has no more to tell than the package's name: the SDKs bring their own.
func (p *Provider) GetSchema(_ context.Context, req *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	if req.GetVersion() != 0 {
		return nil, status.Errorf(codes.InvalidArgument, "unsupported schema version %d", req.GetVersion())
	}
	return &pulumirpc.GetSchemaResponse{Schema: `{"name":"kubernetes","version":"` + p.version + `","resources":{}}`}, nil
}

// GetMapping has no mapping from other tools.
func (p *Provider) GetMapping(context.Context, *pulumirpc.GetMappingRequest) (*pulumirpc.GetMappingResponse, error) {
	return &pulumirpc.GetMappingResponse{}, nil
}

// GetMappings has none either.
func (p *Provider) GetMappings(context.Context, *pulumirpc.GetMappingsRequest) (*pulumirpc.GetMappingsResponse, error) {
	return &pulumirpc.GetMappingsResponse{}, nil
}

// Attach connects a plugin that was started by hand to an engine.
func (p *Provider) Attach(_ context.Context, req *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	host, err := engine.Connect(req.GetAddress())
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.engine = host
	return &emptypb.Empty{}, nil
}

// Cancel ends what is under way; each operation returns with what it has.
func (p *Provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	p.cancel()
	return &emptypb.Empty{}, nil
}

// Track counts calls; it is the server's interceptor.
func (p *Provider) Track(
	ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
) (any, error) {
	p.working.Add(1)
	defer p.working.Done()
	return handle(ctx, req)
}

// Stop cancels what is under way and gives it some time to leave the cluster in a state that the next run can go on
// from: an installation that is cut short is marked as failed.
func (p *Provider) Stop(patience time.Duration) {
	p.cancel()
	done := make(chan struct{})
	go func() {
		p.working.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// Construct refuses component resources, which the real plugin has for YAML, Kustomize and Helm charts.
func (p *Provider) Construct(_ context.Context, req *pulumirpc.ConstructRequest) (*pulumirpc.ConstructResponse, error) {
	return nil, status.Errorf(codes.Unimplemented,
		"%s is not supported by this stand-in of the Kubernetes plugin", req.GetType())
}

// Invoke refuses functions, which the real plugin has for YAML, Kustomize and Helm templates.
func (p *Provider) Invoke(_ context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	return nil, status.Errorf(codes.Unimplemented,
		"%s is not supported by this stand-in of the Kubernetes plugin", req.GetTok())
}

// configured returns the cluster, or an error before Configure.
func (p *Provider) configured() (*cluster.Cluster, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.cluster == nil {
		return nil, errors.New("the Kubernetes provider has not been configured")
	}
	return p.cluster, nil
}

func (p *Provider) encode(tree map[string]any) (*structpb.Struct, error) {
	return property.Encode(tree, p.keepSecrets)
}

func (p *Provider) report(urn string) *engine.Reporter {
	return engine.NewReporter(p.ctx, p.engine, urn)
}

func isRelease(urn string) bool { return object.TypeOfURN(urn) == object.ReleaseType }

// incomplete is the answer for an object that exists but is not what it was meant to be: the engine keeps its state,
// fails the update with the reasons, and tries again in the next.
func incomplete(id string, err error, state, inputs *structpb.Struct) error {
	reasons := []string{err.Error()}
	var failure *await.Failure
	if errors.As(err, &failure) {
		reasons = append(reasons, failure.Reasons...)
	}
	answer, detailErr := status.New(codes.Unknown, err.Error()).WithDetails(&pulumirpc.ErrorResourceInitFailed{
		Id: id, Properties: state, Reasons: reasons, Inputs: inputs,
	})
	if detailErr != nil {
		return errors.Join(err, detailErr)
	}
	return answer.Err()
}
