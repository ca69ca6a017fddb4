package provider

import (
	"errors"
	"fmt"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/release"
)

func (p *Provider) createRelease(urn string, program map[string]any, preview bool) (*pulumirpc.CreateResponse, error) {
	id, tree, failed := p.releases.Create(urn, program, preview)
	if tree == nil {
		return nil, failed
	}
	state, err := p.encode(tree)
	if err != nil {
		return nil, err
	}
	var failure *release.FailedError
	if errors.As(failed, &failure) {
		return nil, incomplete(id, fmt.Errorf("Helm release %q was created, but failed to initialize completely. "+
			"Use Helm CLI to investigate: %w", id, failure), state, nil)
	}
	return &pulumirpc.CreateResponse{Id: id, Properties: state}, failed
}

func (p *Provider) updateRelease(olds, program map[string]any, preview bool) (*pulumirpc.UpdateResponse, error) {
	id, tree, failed := p.releases.Update(olds, program, preview)
	if tree == nil {
		return nil, failed
	}
	state, err := p.encode(tree)
	if err != nil {
		return nil, err
	}
	var failure *release.FailedError
	if errors.As(failed, &failure) {
		return nil, incomplete(id, fmt.Errorf("Helm release %q failed to initialize completely. "+
			"Use Helm CLI to investigate: %w", id, failure), state, nil)
	}
	return &pulumirpc.UpdateResponse{Properties: state}, failed
}

func (p *Provider) readRelease(id string, olds map[string]any) (*pulumirpc.ReadResponse, error) {
	tree, inputs, err := p.releases.Read(id, olds)
	if err != nil || tree == nil {
		return &pulumirpc.ReadResponse{}, err
	}
	state, err := p.encode(tree)
	if err != nil {
		return nil, err
	}
	encodedInputs, err := p.encode(inputs)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.ReadResponse{Id: id, Properties: state, Inputs: encodedInputs}, nil
}
