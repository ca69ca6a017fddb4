package release

import (
	"fmt"
	"sort"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

// Create installs the release; a preview only says what is not known yet. The error may be a *FailedError: then there
// is a state to keep.
func (p *Provider) Create(urn string, program map[string]any, preview bool) (id string, state map[string]any, err error) {
	spec, err := decode(program)
	if err != nil {
		return "", nil, err
	}
	if preview {
		state, err = checkpoint(program, spec, nil)
		return "", state, err
	}
	if reason := p.cluster.Unreachable(); reason != nil {
		return "", nil, fmt.Errorf("can't create Helm Release with unreachable cluster: %w", reason)
	}
	installed, failed := p.install(urn, spec)
	if installed == nil {
		return "", nil, failed
	}
	state, err = p.keep(program, spec, installed)
	if err != nil {
		return "", nil, err
	}
	return object.ID(spec.Namespace, spec.Name), state, failed
}

// Update upgrades the release, as Create installs it.
func (p *Provider) Update(olds, program map[string]any, preview bool) (id string, state map[string]any, err error) {
	spec, err := decode(program)
	if err != nil {
		return "", nil, err
	}
	before, err := decode(olds)
	if err != nil {
		return "", nil, err
	}
	if preview {
		state, err = checkpoint(program, spec, nil)
		return "", state, err
	}
	if reason := p.cluster.Unreachable(); reason != nil {
		return "", nil, fmt.Errorf("can't update Helm Release with unreachable cluster: %w", reason)
	}
	upgraded, failed := p.upgrade(spec, before.Namespace)
	if upgraded == nil {
		return "", nil, failed
	}
	state, err = p.keep(program, spec, upgraded)
	if err != nil {
		return "", nil, err
	}
	return object.ID(spec.Namespace, spec.Name), state, failed
}

// Read looks the release up. A release that is gone has no state; one without an earlier state is being imported.
func (p *Provider) Read(id string, olds map[string]any) (state, inputs map[string]any, err error) {
	spec, err := decode(olds)
	if err != nil {
		return nil, nil, err
	}
	namespace, name := spec.Namespace, spec.Name
	if len(olds) == 0 {
		namespace, name = object.ParseID(id)
		if namespace == "" {
			namespace = p.cluster.Namespace
		}
	}
	config, err := p.actions(namespace)
	if err != nil {
		return nil, nil, err
	}
	found, err := lookUp(config, name)
	if err != nil || found == nil {
		return nil, nil, err
	}
	switch kept := olds[inputsKey].(type) {
	case property.Secret:
		inputs, _ = kept.Value.(map[string]any)
	case map[string]any:
		inputs = kept
	}
	if inputs == nil {
		spec.adopt(found)
		if inputs, err = spec.tree(); err != nil {
			return nil, nil, err
		}
		p.setDefaults(inputs)
		if spec, err = decode(inputs); err != nil {
			return nil, nil, err
		}
	}
	state, err = p.keep(inputs, spec, found)
	return state, inputs, err
}

// adopt fills an empty spec from a release that someone else installed.
func (s *Spec) adopt(found *release.Release) {
	metadata := found.Chart.Metadata
	s.Name, s.Namespace, s.Version, s.Values = found.Name, found.Namespace, metadata.Version, found.Config
	s.Chart = metadata.Name
	for _, name := range []string{metadata.Name + "-" + metadata.Version, metadata.Name} {
		if _, err := loader.LoadDir(name); err == nil {
			s.Chart = name
			return
		}
		if _, err := loader.LoadFile(name + ".tgz"); err == nil {
			s.Chart = name + ".tgz"
			return
		}
	}
}

// keep forgets what the API served, since charts bring definitions, and returns the state of a release.
func (p *Provider) keep(inputs map[string]any, spec *Spec, found *release.Release) (map[string]any, error) {
	p.cluster.Forget()
	return checkpoint(inputs, spec, found)
}

// checkpoint returns the state to keep; without a release (in a preview) its outputs are unknown. All inputs are kept
// as one secret, and what is secret in them is secret in the outputs too.
func checkpoint(inputs map[string]any, spec *Spec, found *release.Release) (map[string]any, error) {
	if found != nil {
		spec.Values = mergeValues(spec.Values, found.Config)
		spec.Version = found.Chart.Metadata.Version
	}
	state, err := spec.tree()
	if err != nil {
		return nil, err
	}
	keepMarks(state, inputs)
	state[inputsKey] = property.MakeSecret(inputs)
	if found == nil {
		state["resourceNames"], state["status"] = property.NewUnknown(), property.NewUnknown()
		return state, nil
	}
	if state["resourceNames"], err = resourceNames(found.Manifest); err != nil {
		return nil, err
	}
	metadata := found.Chart.Metadata
	state["status"] = map[string]any{
		"appVersion": metadata.AppVersion,
		"chart":      metadata.Name,
		"name":       found.Name,
		"namespace":  found.Namespace,
		"revision":   found.Version,
		"status":     found.Info.Status.String(),
		"version":    metadata.Version,
	}
	return state, nil
}

// resourceNames groups the names of the manifest's objects by kind and apiVersion.
func resourceNames(manifest string) (map[string]any, error) {
	names := map[string]map[string]bool{}
	for _, text := range releaseutil.SplitManifests(manifest) {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(text), &head); err != nil {
			return nil, err
		}
		if head.Kind == "" {
			continue
		}
		kind := object.KindOfObject(map[string]any{"apiVersion": head.APIVersion, "kind": head.Kind})
		key := kind.GroupKind().String() + "/" + head.APIVersion
		if names[key] == nil {
			names[key] = map[string]bool{}
		}
		names[key][object.ID(head.Metadata.Namespace, head.Metadata.Name)] = true
	}
	grouped := make(map[string]any, len(names))
	for key, set := range names {
		grouped[key] = sorted(set)
	}
	return grouped, nil
}

func sorted(set map[string]bool) []any {
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = name
	}
	return list
}
