package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

const tensorflowPlatform = "tensorflow"

// versionPolicy says which versions under a base path are to be served.
type versionPolicy struct {
	kind     string // "latest", "all" or "specific"
	latest   int
	specific []int64
}

// modelConfig is one entry of model_config_list.
type modelConfig struct {
	name     string
	basePath string
	platform string
	modelled bool // the deprecated model_type is set
	policy   versionPolicy
	labels   map[string]int64
}

// singleModel is the configuration made from --model_name and --model_base_path.
func singleModel(name, basePath string) []modelConfig {
	log.info(srcServer, "Building single TensorFlow model file config:  model_name: %s model_base_path: %s", name, basePath)
	return []modelConfig{{name: name, basePath: basePath, platform: tensorflowPlatform, policy: versionPolicy{kind: "latest"}}}
}

// readTextProto parses a text-format protobuf file as the named message of the API.
func readTextProto(file string, name protoreflect.Name) (protoreflect.Message, *status) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fileStatus(file, err)
	}
	parsed := dynamicpb.NewMessage(configSchema.Messages().ByName(name))
	if err := prototext.Unmarshal(text, parsed); err != nil {
		reason := strings.TrimSpace(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: "))
		log.error(srcTextFormat, "Error parsing text-format %s.%s: %s", apiPackage, name, reason)
		return nil, invalid("Invalid protobuf file: '" + file + "'")
	}
	return parsed, nil
}

// fileStatus is a file error in the words of TensorFlow's file system.
func fileStatus(file string, err error) *status {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &status{codeNotFound, file + "; No such file or directory"}
	case errors.Is(err, fs.ErrPermission):
		return &status{codePermissionDenied, file + "; Permission denied"}
	default:
		return &status{codeUnknown, file + "; " + err.Error()}
	}
}

// get reads a field; an unset message field reads as empty.
func get(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(name))
}

func has(m protoreflect.Message, name protoreflect.Name) bool {
	return m.Has(m.Descriptor().Fields().ByName(name))
}

// readModelConfig reads --model_config_file. No list at all gives nil: a server without models.
func readModelConfig(file string) ([]modelConfig, *status) {
	parsed, failure := readTextProto(file, "ModelServerConfig")
	if failure != nil || !has(parsed, "model_config_list") {
		return nil, failure
	}
	list := get(get(parsed, "model_config_list").Message(), "config").List()
	models := make([]modelConfig, 0, list.Len())
	for i := range list.Len() {
		entry := list.Get(i).Message()
		model := modelConfig{
			name:     get(entry, "name").String(),
			basePath: get(entry, "base_path").String(),
			platform: get(entry, "model_platform").String(),
			modelled: get(entry, "model_type").Enum() != 0,
			policy:   readPolicy(get(entry, "model_version_policy").Message()),
			labels:   map[string]int64{},
		}
		if model.modelled && model.platform == "" && get(entry, "model_type").Enum() == 1 {
			model.platform, model.modelled = tensorflowPlatform, false
		}
		get(entry, "version_labels").Map().Range(func(label protoreflect.MapKey, version protoreflect.Value) bool {
			model.labels[label.String()] = version.Int()
			return true
		})
		models = append(models, model)
	}
	return models, nil
}

func readPolicy(m protoreflect.Message) versionPolicy {
	switch {
	case has(m, "all"):
		return versionPolicy{kind: "all"}
	case has(m, "specific"):
		policy := versionPolicy{kind: "specific"}
		versions := get(get(m, "specific").Message(), "versions").List()
		for i := range versions.Len() {
			policy.specific = append(policy.specific, versions.Get(i).Int())
		}
		return policy
	default:
		return versionPolicy{kind: "latest", latest: int(get(get(m, "latest").Message(), "num_versions").Uint())}
	}
}

// validateModels refuses what the real server refuses of a list: one name twice, a relative base path.
func validateModels(models []modelConfig) *status {
	seen := map[string]bool{}
	for _, model := range models {
		if seen[model.name] {
			return invalid("Illegal to list model " + model.name + " multiple times in config list")
		}
		seen[model.name] = true
	}
	for _, model := range models {
		if !path.IsAbs(model.basePath) && !strings.Contains(model.basePath, "://") {
			return invalid("Expected model " + model.name + " to have an absolute path or URI; got base_path()=" + model.basePath)
		}
	}
	return nil
}

// platformStatus refuses a model without a platform, or with one that is not TensorFlow's.
func platformStatus(model modelConfig) *status {
	switch {
	case model.modelled && model.platform != "":
		return invalid("Illegal setting both ModelServerConfig::model_type (deprecated) and " +
			"ModelServerConfig::model_platform, model name is " + model.name)
	case model.modelled:
		return invalid("ModelServerConfig::model_type choice 2 not supported.")
	case model.platform == "":
		return invalid("Illegal setting neither ModelServerConfig::model_type (deprecated) nor " +
			"ModelServerConfig::model_platform, model name is " + model.name)
	case model.platform != tensorflowPlatform:
		return invalid("Model " + model.name + " requests unsupported platform " + model.platform)
	}
	return nil
}

// defaultMetricsPath is where metrics are served when the monitoring file names no path.
const defaultMetricsPath = "/monitoring/prometheus/metrics"

// readMetricsPath gives the path of the metrics page, "" when metrics are not enabled.
func readMetricsPath(file string) (string, *status) {
	if file == "" {
		return "", nil
	}
	parsed, failure := readTextProto(file, "MonitoringConfig")
	if failure != nil {
		return "", failure
	}
	prometheus := get(parsed, "prometheus_config").Message()
	if !get(prometheus, "enable").Bool() {
		return "", nil
	}
	if named := get(prometheus, "path").String(); named != "" {
		return named, nil
	}
	return defaultMetricsPath, nil
}

// checkBatching reads a batching parameters file and applies the real scheduler's rules to it.
func checkBatching(file string) *status {
	parsed, failure := readTextProto(file, "BatchingParameters")
	if failure != nil {
		return failure
	}
	value := func(name protoreflect.Name, unset int64) int64 {
		if !has(parsed, name) {
			return unset
		}
		return get(get(parsed, name).Message(), "value").Int()
	}
	for _, rule := range []struct {
		name  protoreflect.Name
		least int64
		words string
	}{
		{"num_batch_threads", 1, "positive"},
		{"max_batch_size", 1, "positive"},
		{"batch_timeout_micros", 0, "non-negative"},
		{"max_enqueued_batches", 0, "non-negative"},
	} {
		if given := value(rule.name, 1); given < rule.least {
			return invalid(fmt.Sprintf("%s must be %s; was %d", rule.name, rule.words, given))
		}
	}
	return checkBatchSizes(get(parsed, "allowed_batch_sizes").List(), value("max_batch_size", 1000))
}

func checkBatchSizes(sizes protoreflect.List, largest int64) *status {
	for i := 1; i < sizes.Len(); i++ {
		if sizes.Get(i).Int() <= sizes.Get(i-1).Int() {
			return invalid("allowed_batch_sizes entries must be monotonically increasing")
		}
	}
	if count := sizes.Len(); count > 0 && sizes.Get(count-1).Int() != largest {
		return invalid("Last entry in allowed_batch_sizes must match max_batch_size; last entry was " +
			fmt.Sprintf("%d; expected %d", sizes.Get(count-1).Int(), largest))
	}
	return nil
}
