// Package release manages helm.v3.Release resources by Helm itself.
package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/registry"
	"sigs.k8s.io/yaml"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/cluster"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/property"
)

const defaultTimeout = 300 // seconds

const (
	inputsKey = "__inputs"
	valuesKey = "values"
)

// Provider manages the releases of one cluster.
type Provider struct {
	ctx      context.Context
	cluster  *cluster.Cluster
	engine   *engine.Engine
	settings *cli.EnvSettings
}

// New returns a provider that acts until ctx ends.
func New(ctx context.Context, target *cluster.Cluster, host *engine.Engine) *Provider {
	settings := cli.New()
	set := func(field *string, value string) {
		if value != "" {
			*field = value
		}
	}
	set(&settings.PluginsDirectory, target.Settings.Helm.PluginsPath)
	set(&settings.RegistryConfig, target.Settings.Helm.RegistryConfigPath)
	set(&settings.RepositoryConfig, target.Settings.Helm.RepositoryConfigPath)
	set(&settings.RepositoryCache, target.Settings.Helm.RepositoryCache)
	return &Provider{ctx: ctx, cluster: target, engine: host, settings: settings}
}

// Spec is what a program says of a release. Values are kept apart, since they may be of any shape.
type Spec struct {
	AllowNullValues          bool        `json:"allowNullValues"`
	Atomic                   bool        `json:"atomic"`
	Chart                    string      `json:"chart"`
	CleanupOnFail            bool        `json:"cleanupOnFail"`
	CreateNamespace          bool        `json:"createNamespace"`
	DependencyUpdate         bool        `json:"dependencyUpdate"`
	Description              string      `json:"description"`
	Devel                    bool        `json:"devel"`
	DisableCRDHooks          bool        `json:"disableCRDHooks"`
	DisableOpenapiValidation bool        `json:"disableOpenapiValidation"`
	DisableWebhooks          bool        `json:"disableWebhooks"`
	ForceUpdate              bool        `json:"forceUpdate"`
	Keyring                  string      `json:"keyring"`
	Lint                     bool        `json:"lint"`
	MaxHistory               *int        `json:"maxHistory,omitempty"`
	Name                     string      `json:"name"`
	Namespace                string      `json:"namespace"`
	Postrender               string      `json:"postrender"`
	RecreatePods             bool        `json:"recreatePods"`
	RenderSubchartNotes      bool        `json:"renderSubchartNotes"`
	Replace                  bool        `json:"replace"`
	RepositoryOpts           *Repository `json:"repositoryOpts,omitempty"`
	ResetValues              bool        `json:"resetValues"`
	ReuseValues              bool        `json:"reuseValues"`
	SkipAwait                bool        `json:"skipAwait"`
	SkipCrds                 bool        `json:"skipCrds"`
	Timeout                  int         `json:"timeout"`
	Verify                   bool        `json:"verify"`
	Version                  string      `json:"version"`
	WaitForJobs              bool        `json:"waitForJobs"`

	Values map[string]any `json:"-"`
}

// Repository says where a chart comes from.
type Repository struct {
	CAFile   string `json:"caFile,omitempty"`
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	Password string `json:"password,omitempty"`
	Repo     string `json:"repo,omitempty"`
	Username string `json:"username,omitempty"`
}

// decode reads a property bag, inputs or state alike: secrets become plain, unknowns nothing, and the files of
// valueYamlFiles part of the values.
func decode(bag map[string]any) (*Spec, error) {
	plain, _ := property.RevealKnown(bag).(map[string]any)
	values := map[string]any{}
	files, _ := plain["valueYamlFiles"].([]any)
	for _, file := range files {
		read, err := readValues(file)
		if err != nil {
			return nil, err
		}
		values = mergeValues(values, read)
	}
	own, _ := plain[valuesKey].(map[string]any)
	values = mergeValues(values, own)
	expanded, err := expandAssets(values)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{valuesKey, "valueYamlFiles", inputsKey} {
		delete(plain, key)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("decoding failure: %w", err)
	}
	spec := &Spec{}
	if err := json.Unmarshal(text, spec); err != nil {
		return nil, fmt.Errorf("decoding failure: %w", err)
	}
	spec.Values, _ = expanded.(map[string]any)
	return spec, nil
}

// tree is the inverse of decode.
func (s *Spec) tree() (map[string]any, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	tree := map[string]any{}
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	tree[valuesKey] = s.Values
	return tree, nil
}

func readValues(file any) (map[string]any, error) {
	asset, ok := file.(property.Asset)
	if !ok {
		return nil, fmt.Errorf("unsupported type for 'valueYamlFiles' arg: %T", file)
	}
	text, err := readAsset(asset)
	if err != nil {
		return nil, err
	}
	values := map[string]any{}
	return values, yaml.Unmarshal([]byte(text), &values)
}

func readAsset(asset property.Asset) (string, error) {
	if path, ok := asset.Path(); ok {
		content, err := os.ReadFile(path)
		return string(content), err
	}
	if text, ok := asset.Text(); ok {
		return text, nil
	}
	return "", errors.New("only file and text assets are supported by this stand-in of the Kubernetes plugin")
}

// expandAssets replaces assets among the values by their content.
func expandAssets(value any) (any, error) {
	switch value := value.(type) {
	case property.Asset:
		return readAsset(value)
	case map[string]any:
		expanded := make(map[string]any, len(value))
		for key, element := range value {
			content, err := expandAssets(element)
			if err != nil {
				return nil, err
			}
			expanded[key] = content
		}
		return expanded, nil
	case []any:
		expanded := make([]any, len(value))
		for i, element := range value {
			content, err := expandAssets(element)
			if err != nil {
				return nil, err
			}
			expanded[i] = content
		}
		return expanded, nil
	}
	return value, nil
}

// mergeValues lays the values of over over those of base, as Helm does with several value files.
func mergeValues(base, over map[string]any) map[string]any {
	merged := make(map[string]any, len(base)+len(over))
	for key, value := range base {
		merged[key] = value
	}
	for key, value := range over {
		below, belowIsMap := merged[key].(map[string]any)
		above, aboveIsMap := value.(map[string]any)
		if belowIsMap && aboveIsMap {
			merged[key] = mergeValues(below, above)
		} else {
			merged[key] = value
		}
	}
	return merged
}

// actions returns Helm's configuration for work in the namespace.
func (p *Provider) actions(namespace string) (*action.Configuration, error) {
	access, err := p.cluster.Getter(namespace)
	if err != nil {
		return nil, err
	}
	config := &action.Configuration{}
	silent := func(string, ...any) {}
	if err := config.Init(access, namespace, p.cluster.Settings.Helm.Driver, silent); err != nil {
		return nil, err
	}
	config.RegistryClient, err = p.registry()
	return config, err
}

func (p *Provider) registry() (*registry.Client, error) {
	return registry.NewClient(
		registry.ClientOptEnableCache(true),
		registry.ClientOptCredentialsFile(p.settings.RegistryConfig),
	)
}
