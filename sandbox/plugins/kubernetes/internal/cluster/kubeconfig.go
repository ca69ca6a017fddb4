package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// ParseKubeconfig reads a kubeconfig from a file of that name, else takes the text itself for one.
func ParseKubeconfig(pathOrContents string) (*api.Config, error) {
	if pathOrContents == "" {
		return api.NewConfig(), nil
	}
	if pathOrContents == "~" || strings.HasPrefix(pathOrContents, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		pathOrContents = filepath.Join(home, strings.TrimPrefix(pathOrContents, "~"))
	}
	if _, err := os.Stat(pathOrContents); err == nil {
		return clientcmd.LoadFromFile(pathOrContents)
	}
	return clientcmd.Load([]byte(pathOrContents))
}

// SameCluster tells whether two provider configurations lead to the same cluster, as far as kubeconfigs can tell:
// their active contexts' clusters are equal. Where one of them names no cluster there is nothing to compare, and known
// is false. Each configuration is the provider's arguments: kubeconfig, context, cluster.
func SameCluster(olds, news map[string]any) (same, known bool, err error) {
	before, foundBefore, err := activeCluster(olds)
	if err != nil {
		return false, false, err
	}
	after, foundAfter, err := activeCluster(news)
	if err != nil {
		return false, false, err
	}
	return reflect.DeepEqual(before, after), foundBefore && foundAfter, nil
}

func activeCluster(arguments map[string]any) (*api.Cluster, bool, error) {
	var text string
	switch kubeconfig := arguments["kubeconfig"].(type) {
	case nil:
	case string:
		text = kubeconfig
	case map[string]any:
		encoded, err := json.Marshal(kubeconfig)
		if err != nil {
			return nil, false, fmt.Errorf("failed to unmarshal kubeconfig: %w", err)
		}
		text = string(encoded)
	default:
		return nil, false, fmt.Errorf("unexpected kubeconfig format, type: %T", kubeconfig)
	}
	config, err := ParseKubeconfig(text)
	if err != nil {
		return nil, false, fmt.Errorf("failed to parse kubeconfig: %w", err)
	}
	name := config.CurrentContext
	if context, ok := arguments["context"].(string); ok {
		name = context
	}
	context := config.Contexts[name]
	if context == nil {
		return nil, false, nil
	}
	clusterName := context.Cluster
	if override, ok := arguments["cluster"].(string); ok {
		clusterName = override
	}
	active := config.Clusters[clusterName]
	return active, active != nil, nil
}

// clientConfig resolves the settings to a configuration that acts in the given namespace by default.
func (s Settings) clientConfig(namespace string) (clientcmd.ClientConfig, error) {
	overrides := &clientcmd.ConfigOverrides{
		Context:        api.Context{Cluster: s.Cluster, Namespace: namespace},
		CurrentContext: s.Context,
	}
	if s.Kubeconfig == "" {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.DefaultClientConfig = &clientcmd.DefaultClientConfig
		return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides), nil
	}
	config, err := ParseKubeconfig(s.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("failed to parse kubeconfig data in `kubernetes:config:kubeconfig`- %w", err)
	}
	return clientcmd.NewDefaultClientConfig(*config, overrides), nil
}
