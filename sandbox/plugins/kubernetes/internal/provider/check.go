package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Check brings inputs into their final form: normalised, with a name and a namespace.
func (p *Provider) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	target, err := p.configured()
	if err != nil {
		return nil, err
	}
	urn := req.GetUrn()
	if target.Settings.SkipUpdateUnreachable && target.Unreachable() != nil {
		p.engine.Log(ctx, engine.Warning, urn,
			"Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping...")
		return &pulumirpc.CheckResponse{Inputs: req.GetOlds()}, nil
	}
	olds, program := property.Decode(req.GetOlds()), property.Decode(req.GetNews())
	if isRelease(urn) {
		return p.checkRelease(ctx, urn, olds, program)
	}
	kind, err := object.KindOf(urn)
	if err != nil {
		return nil, err
	}
	p.warnOfAnnotations(ctx, urn, program)
	inputs := object.Normalise(object.Plain(program))
	if len(olds) > 0 {
		adopt(inputs, object.Plain(olds))
	} else if err := assignName(inputs, req); err != nil {
		return nil, err
	}
	if !object.IsNamed(inputs) && object.Text(inputs, "metadata", "generateName") != "" {
		return nil, errors.New("the `.metadata.generateName` field is not supported in Server-Side Apply mode")
	}
	if target.Namespace != "" && !isSet(inputs, "metadata", "namespace") && target.Namespaced(kind) {
		object.SetNamespace(inputs, target.Namespace)
	}
	property.CopySecrets(inputs, program)
	checked, err := p.encode(inputs)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: checked}, nil
}

func isSet(obj map[string]any, path ...string) bool {
	value, found := object.Field(obj, path...)
	return found && value != nil && value != ""
}

func (p *Provider) checkRelease(
	ctx context.Context, urn string, olds, program map[string]any,
) (*pulumirpc.CheckResponse, error) {
	inputs, failure, err := p.releases.Check(ctx, urn, olds, program)
	if err != nil {
		return nil, err
	}
	checked, err := p.encode(inputs)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.CheckResponse{Inputs: checked}
	if failure != "" {
		response.Failures = []*pulumirpc.CheckFailure{{Property: "chart", Reason: failure}}
	}
	return response, nil
}

func (p *Provider) warnOfAnnotations(ctx context.Context, urn string, program map[string]any) {
	annotations, _ := object.Field(object.Plain(program), "metadata", "annotations")
	named, _ := annotations.(map[string]any)
	for key := range named {
		if strings.HasPrefix(key, object.Autonamed) {
			p.engine.Log(ctx, engine.Warning, urn,
				fmt.Sprintf("ignoring user-specified value for internal annotation %q", key))
		}
	}
}

// adopt carries over what an earlier check had added: the generated name, and the label that older versions set.
func adopt(inputs, olds map[string]any) {
	if !object.IsNamed(inputs) && object.AnnotatedTrue(olds, object.Autonamed) {
		object.SetMetadata(inputs, "name", object.Name(olds))
		object.SetAnnotation(inputs, object.Autonamed, "true")
	}
	by := "pulumi"
	if configured, ok := os.LookupEnv("PULUMI_KUBERNETES_MANAGED_BY_LABEL"); ok {
		by = configured
	}
	if object.HasManagedBy(olds, by) {
		object.SetManagedBy(inputs, by)
	}
}

// assignName names an object that the program left unnamed, as the stack's naming rules say, else by the resource's
// name and eight random digits.
func assignName(inputs map[string]any, req *pulumirpc.CheckRequest) error {
	if object.IsNamed(inputs) || object.Text(inputs, "metadata", "generateName") != "" {
		return nil
	}
	name := uniqueName(object.NameOfURN(req.GetUrn())+"-", req.GetRandomSeed())
	if rules := req.GetAutonaming(); rules != nil {
		switch rules.GetMode() {
		case pulumirpc.CheckRequest_AutonamingOptions_DISABLE:
			return errors.New("autonaming is disabled, resource requires the .metadata.name field to be set")
		default:
			name = rules.GetProposedName()
		}
	}
	object.SetMetadata(inputs, "name", name)
	object.SetAnnotation(inputs, object.Autonamed, "true")
	return nil
}

// uniqueName appends eight hexadecimal digits that follow from the seed, or are random without one.
func uniqueName(prefix string, seed []byte) string {
	if len(seed) == 0 {
		seed = []byte(rand.Text())
	}
	digest := sha256.Sum256(seed)
	return prefix + hex.EncodeToString(digest[:4])
}
