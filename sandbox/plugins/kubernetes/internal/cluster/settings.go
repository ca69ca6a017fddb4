// Package cluster is the plugin's connection to one Kubernetes cluster: its configuration, its API and what the API
// serves.
package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
)

// Settings is the provider's configuration, from its arguments, else from the environment.
type Settings struct {
	Kubeconfig string // a file's name, or a kubeconfig itself; "" for the ambient one
	Context    string
	Cluster    string
	Namespace  string // for objects that name none

	DeleteUnreachable     bool
	SkipUpdateUnreachable bool
	PatchForce            bool
	UpsertExisting        bool
	MutableSecrets        bool
	MutableConfigMaps     bool

	QPS     float64
	Burst   int
	Timeout int // of one request, in seconds; 0 for none

	Helm HelmSettings
}

// HelmSettings says where Helm keeps things; empty fields mean Helm's own defaults.
type HelmSettings struct {
	Driver               string `json:"driver"`
	PluginsPath          string `json:"pluginsPath"`
	RegistryConfigPath   string `json:"registryConfigPath"`
	RepositoryConfigPath string `json:"repositoryConfigPath"`
	RepositoryCache      string `json:"repositoryCache"`
}

type clientSettings struct {
	Burst   *int     `json:"burst"`
	QPS     *float64 `json:"qps"`
	Timeout *int     `json:"timeout"`
}

const variablePrefix = "kubernetes:config:"

// ReadSettings reads the engine's configuration variables. It errs on modes that this stand-in does not have.
func ReadSettings(variables map[string]string) (Settings, error) {
	value := func(name string) string { return variables[variablePrefix+name] }
	flag := func(name, environment string, fallback bool) bool {
		if text, ok := variables[variablePrefix+name]; ok {
			return text == "true"
		}
		if text, ok := os.LookupEnv(environment); ok {
			return text == "true"
		}
		return fallback
	}
	if value("renderYamlToDirectory") != "" {
		return Settings{}, fmt.Errorf("renderYamlToDirectory is not supported by this stand-in of the Kubernetes plugin")
	}
	if !flag("enableServerSideApply", "PULUMI_K8S_ENABLE_SERVER_SIDE_APPLY", true) {
		return Settings{}, fmt.Errorf(
			"enableServerSideApply=false is not supported by this stand-in of the Kubernetes plugin: it only does server-side apply")
	}
	settings := Settings{
		Kubeconfig: value("kubeconfig"),
		Context:    value("context"),
		Cluster:    value("cluster"),
		Namespace:  value("namespace"),

		DeleteUnreachable:     flag("deleteUnreachable", "PULUMI_K8S_DELETE_UNREACHABLE", false),
		SkipUpdateUnreachable: flag("skipUpdateUnreachable", "PULUMI_K8S_SKIP_UPDATE_UNREACHABLE", false),
		PatchForce:            flag("enablePatchForce", "PULUMI_K8S_ENABLE_PATCH_FORCE", false),
		UpsertExisting:        flag("upsertExistingObjects", "PULUMI_K8S_UPSERT_EXISTING_OBJECTS", false),
		MutableSecrets:        flag("enableSecretMutable", "PULUMI_K8S_ENABLE_SECRET_MUTABLE", false),
		MutableConfigMaps:     flag("enableConfigMapMutable", "PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE", false),
	}
	if err := settings.readClient(value("kubeClientSettings")); err != nil {
		return Settings{}, err
	}
	if text := value("helmReleaseSettings"); text != "" {
		if err := json.Unmarshal([]byte(text), &settings.Helm); err != nil {
			return Settings{}, fmt.Errorf("failed to unmarshal helmReleaseSettings option: %w", err)
		}
	}
	settings.Helm.readEnvironment()
	return settings, nil
}

func (s *Settings) readClient(text string) error {
	var client clientSettings
	if text != "" {
		if err := json.Unmarshal([]byte(text), &client); err != nil {
			return fmt.Errorf("failed to unmarshal kubeClientSettings option: %w", err)
		}
	}
	number := func(given *float64, environment string, fallback float64) (float64, error) {
		if given != nil {
			return *given, nil
		}
		if text := os.Getenv(environment); text != "" {
			parsed, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return 0, fmt.Errorf("invalid value specified for %s: %w", environment, err)
			}
			return parsed, nil
		}
		return fallback, nil
	}
	burst, err := number(asFloat(client.Burst), "PULUMI_K8S_CLIENT_BURST", 120)
	if err != nil {
		return err
	}
	timeout, err := number(asFloat(client.Timeout), "PULUMI_K8S_CLIENT_TIMEOUT", 0)
	if err != nil {
		return err
	}
	if s.QPS, err = number(client.QPS, "PULUMI_K8S_CLIENT_QPS", 50); err != nil {
		return err
	}
	s.Burst, s.Timeout = int(burst), int(timeout)
	return nil
}

func asFloat(number *int) *float64 {
	if number == nil {
		return nil
	}
	converted := float64(*number)
	return &converted
}

func (h *HelmSettings) readEnvironment() {
	fill := func(field *string, environment string) {
		if *field == "" {
			*field = os.Getenv(environment)
		}
	}
	fill(&h.Driver, "PULUMI_K8S_HELM_DRIVER")
	fill(&h.PluginsPath, "PULUMI_K8S_HELM_PLUGINS_PATH")
	fill(&h.RegistryConfigPath, "PULUMI_K8S_HELM_REGISTRY_CONFIG_PATH")
	fill(&h.RepositoryConfigPath, "PULUMI_K8S_HELM_REPOSITORY_CONFIG_PATH")
	fill(&h.RepositoryCache, "PULUMI_K8S_HELM_REPOSITORY_CACHE")
	if h.Driver == "" {
		h.Driver = "secret"
	}
}
