package release

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/diff"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Check completes the inputs: a name, defaults, and the version that the chart really has. failure says what is wrong
// with the chart, "" when nothing is.
func (p *Provider) Check(
	ctx context.Context, urn string, olds, program map[string]any,
) (inputs map[string]any, failure string, err error) {
	news := make(map[string]any, len(program))
	for key, value := range program {
		news[key] = value
	}
	if _, named := news["name"]; !named && olds["name"] != nil {
		news["name"] = olds["name"]
	}
	if news["name"] == nil || news["name"] == "" {
		news["name"] = object.NameOfURN(urn) + "-" + randomDigits()
	}
	p.setDefaults(news)
	spec, err := decode(news)
	if err != nil {
		return nil, "", err
	}
	if spec.AllowNullValues {
		p.engine.Log(ctx, engine.Warning, urn, "`allowNullValues` is deprecated and has no effect; "+
			"null values in Helm chart values are preserved by default.")
	}
	if chartIsKnown(news) && !p.resolvedBefore(spec, olds) {
		version, err := p.chartVersion(spec)
		if err != nil {
			failure = fmt.Sprintf("%v; check the chart name and repository configuration.", err)
		} else {
			spec.Version = version
		}
	}
	if inputs, err = spec.tree(); err != nil {
		return nil, "", err
	}
	keepMarks(inputs, news)
	return inputs, failure, nil
}

// keepMarks makes secret and unknown in the tree what the program's inputs have so. Files of values that are secret
// make all values secret, since they were mixed in.
func keepMarks(tree, program map[string]any) {
	property.CopyUnknowns(tree, program)
	property.CopySecrets(tree, program)
	if property.HasSecret(program["valueYamlFiles"]) {
		tree[valuesKey] = property.MakeSecret(tree[valuesKey])
	}
}

func randomDigits() string {
	digits := make([]byte, 4)
	_, _ = rand.Read(digits) // never errs
	return hex.EncodeToString(digits)
}

func (p *Provider) setDefaults(news map[string]any) {
	if news["namespace"] == nil || news["namespace"] == "" {
		news["namespace"] = p.cluster.Namespace
	}
	if _, given := news["timeout"]; !given && news["skipAwait"] != true {
		news["timeout"] = float64(defaultTimeout)
	}
	if news["verify"] == true && (news["keyring"] == nil || news["keyring"] == "") {
		news["keyring"] = os.ExpandEnv("$HOME/.gnupg/pubring.gpg")
	}
}

func chartIsKnown(news map[string]any) bool {
	for _, key := range []string{"chart", "version", "repositoryOpts", "namespace", "devel"} {
		if property.HasUnknown(news[key]) {
			return false
		}
	}
	return true
}

// resolvedBefore tells whether the exact version asked for was found in the same remote place by an earlier check: then
// there is no need to ask again. A chart in a folder is read each time, which costs nothing.
func (p *Provider) resolvedBefore(spec *Spec, olds map[string]any) bool {
	before, err := decode(olds)
	if err != nil || spec.Version == "" || isLocal(spec) {
		return false
	}
	return before.Chart == spec.Chart && before.Version == spec.Version &&
		reflect.DeepEqual(before.RepositoryOpts, spec.RepositoryOpts)
}

// Diff compares the program's inputs with those of before and with the state. The version may be told to be ignored.
func (p *Provider) Diff(olds, news map[string]any, ignored []string) (*pulumirpc.DiffResponse, error) {
	before, _ := property.Reveal(olds[inputsKey]).(map[string]any)
	state := property.RevealMap(olds)
	delete(state, inputsKey)
	after := property.RevealMap(news)
	for _, name := range ignored {
		if name == "version" {
			after["version"] = state["version"]
		}
	}
	for _, output := range []string{"checksum", "resourceNames"} {
		delete(before, output)
		delete(after, output)
	}
	// What neither the program says now nor had said before, such as the status, is no part of the comparison.
	found := diff.Compare(pruneToInputs(state, before, after), after, diff.Paths("name", "namespace"))
	response := &pulumirpc.DiffResponse{
		Changes:         pulumirpc.DiffResponse_DIFF_NONE,
		Replaces:        found.Replaces(),
		DetailedDiff:    found,
		HasDetailedDiff: len(found) > 0,
	}
	if len(found) > 0 {
		response.Changes = pulumirpc.DiffResponse_DIFF_SOME
		named := map[string]bool{}
		for path := range found {
			parsed, err := diff.ParsePath(path)
			if err != nil {
				return nil, err
			}
			if name, ok := parsed[0].(string); ok && !named[name] {
				named[name] = true
				response.Diffs = append(response.Diffs, name)
			}
		}
	}
	return response, nil
}

// pruneToInputs keeps of the state what the program says now or had said.
func pruneToInputs(state, before, after map[string]any) map[string]any {
	pruned := map[string]any{}
	for key, value := range state {
		beforeValue, hadBefore := before[key]
		afterValue, hasAfter := after[key]
		if !hadBefore && !hasAfter {
			continue
		}
		if object, ok := value.(map[string]any); ok {
			beforeObject, _ := beforeValue.(map[string]any)
			afterObject, _ := afterValue.(map[string]any)
			pruned[key] = pruneToInputs(object, beforeObject, afterObject)
			continue
		}
		pruned[key] = value
	}
	return pruned
}
