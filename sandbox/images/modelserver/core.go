package main

import (
	"fmt"
	"sync"
	"time"
)

// core is the server without its ports: the configuration in force, the models, their labels.
type core struct {
	options options
	manager *manager
	metrics *metrics
	source  *source

	mu     sync.Mutex // guards what follows
	loaded bool       // a configuration with models is in force
	models []modelConfig
	labels map[string]map[string]int64
}

func newCore(options options) *core {
	metrics := newMetrics()
	retryInterval := time.Duration(max(options.loadRetryMicros, 0)) * time.Microsecond
	manager := newManager(options.maxLoadRetries, retryInterval, options.warmup, metrics)
	return &core{options: options, manager: manager, metrics: metrics, source: &source{manager: manager}}
}

// reload puts a list of models in force and waits until each new one can answer or has failed. The first call may wait
// without end: for a base path that is missing, or empty.
func (c *core) reload(models []modelConfig) *status {
	if models == nil {
		log.info(srcServerCore, "Taking no action for empty config.")
		return nil
	}
	first, fresh, failure := c.accept(models)
	if failure != nil {
		return failure
	}
	for _, model := range models {
		log.info(srcServerCore, " (Re-)adding model: %s", model.name)
	}
	for _, model := range models {
		if failure := platformStatus(model); failure != nil {
			return failure
		}
	}
	c.source.update(models)
	noun := "model"
	if first {
		noun = "servable"
		c.source.start(c.options.fsPollSeconds)
	}
	if failure := c.manager.await(fresh, noun); failure != nil {
		return failure
	}
	c.manager.limitLoads(c.options.loadThreads)
	log.info(srcServerCore, "Finished adding/updating models")
	return nil
}

// accept checks a list against the rules and against the one in force, and takes it over with its labels.
func (c *core) accept(models []modelConfig) (first bool, fresh []string, failure *status) {
	if failure := validateModels(models); failure != nil {
		return false, nil, failure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := map[string]modelConfig{}
	for _, model := range c.models {
		before[model.name] = model
	}
	for _, model := range models {
		old, known := before[model.name]
		if !known {
			fresh = append(fresh, model.name)
		} else if old.platform != model.platform {
			return false, nil, invalid(fmt.Sprintf("Illegal to change a model's platform. For model %s platform was %s and new "+
				"platform requested is %s", model.name, old.platform, model.platform))
		}
	}
	first = !c.loaded
	c.models, c.loaded = models, true
	if failure := c.assignLabels(); failure != nil {
		return first, nil, failure
	}
	log.info(srcServerCore, "Adding/updating models.")
	return first, fresh, nil
}

// assignLabels makes the labels of the list those of the server, if each names a version that is AVAILABLE now, or may
// be new (--allow_version_labels_for_unavailable_models); mu is held.
func (c *core) assignLabels() *status {
	labels := map[string]map[string]int64{}
	for _, model := range c.models {
		labels[model.name] = map[string]int64{}
		for label, version := range model.labels {
			existing, used := c.labels[model.name][label]
			early := c.options.labelsEarly && (!used || existing == version)
			if _, _, failure := c.manager.available(model.name, &version); failure != nil && !early {
				return &status{codeFailedPrecondition, fmt.Sprintf("Request to assign label to version %d of model %s, which is "+
					"not currently available for inference", version, model.name)}
			}
			labels[model.name][label] = version
		}
	}
	c.labels = labels
	return nil
}

// modelSpec names what a request is for. Version and label are exclusive; neither is the newest version.
type modelSpec struct {
	name    string
	version *int64
	label   string
}

// find resolves a label and gives the version that answers.
func (c *core) find(spec modelSpec) (*model, int64, *status) {
	if spec.name == "" {
		return nil, 0, invalid("ModelSpec has no name specified.")
	}
	version := spec.version
	if spec.label != "" {
		c.mu.Lock()
		labelled, known := c.labels[spec.name][spec.label]
		c.mu.Unlock()
		if !known {
			return nil, 0, invalid("Unrecognized servable version label: " + spec.label)
		}
		version = &labelled
	}
	return c.manager.available(spec.name, version)
}

// watchConfig reads the model config file again every interval and puts it in force.
func (c *core) watchConfig(interval time.Duration) {
	for {
		time.Sleep(interval)
		models, failure := readModelConfig(c.options.modelConfigFile)
		if failure != nil {
			log.error(srcServer, "Failed to read ModelServerConfig file: %s", failure.message)
			continue
		}
		if failure := c.reload(models); failure != nil {
			log.error(srcServer, "PollFilesystemAndReloadConfig failed to ReloadConfig: %s", failure.message)
		}
	}
}
