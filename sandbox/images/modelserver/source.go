package main

import (
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// source looks for versions under the models' base paths and tells the manager which of them the policies want.
type source struct {
	mu      sync.Mutex
	models  []modelConfig
	manager *manager
}

// start polls every interval seconds: once for 0, never for less.
func (s *source) start(interval int) {
	switch {
	case interval == 0:
		go s.poll()
	case interval > 0:
		go func() {
			for {
				s.poll()
				time.Sleep(time.Duration(interval) * time.Second)
			}
		}()
	}
}

// update takes a new list of models; those that are gone lose all their versions.
func (s *source) update(models []modelConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := map[string]bool{}
	for _, model := range models {
		kept[model.name] = true
	}
	for _, model := range s.models {
		if !kept[model.name] {
			s.manager.aspire(model.name, nil)
		}
	}
	s.models = models
}

// poll looks once. As in the real server one missing base path holds up every model of the list.
func (s *source) poll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make([]map[int64]string, len(s.models))
	for i, model := range s.models {
		versions, failure := findVersions(model)
		if failure != nil {
			log.error(srcSource, "FileSystemStoragePathSource encountered a filesystem access error: %s", failure.message)
			return
		}
		found[i] = versions
	}
	for i, model := range s.models {
		s.manager.aspire(model.name, found[i])
	}
}

// findVersions gives the folders of the versions that a model's policy wants.
func findVersions(model modelConfig) (map[int64]string, *status) {
	if failure := fileSystemOf(model.basePath).exists(model.basePath); failure != nil {
		return nil, invalid(fmt.Sprintf("Could not find base path %s for servable %s with error %s",
			model.basePath, model.name, failure))
	}
	if model.policy.kind == "specific" && len(model.policy.specific) == 0 {
		log.warning(srcSource, "No specific versions requested for servable %s.", model.name)
		return nil, nil
	}
	present, failure := listVersions(model.basePath)
	if failure != nil {
		return nil, failure
	}
	wanted := choose(model, present)
	if len(wanted) == 0 {
		log.warning(srcSource, "No versions of servable %s found under base path %s. "+
			"Did you forget to name your leaf directory as a number (eg. '/1/')?", model.name, model.basePath)
	}
	return wanted, nil
}

// listVersions finds everything under a base path whose name is a number; 00123 is version 123.
func listVersions(basePath string) (map[int64]string, *status) {
	children, failure := fileSystemOf(basePath).children(basePath)
	if failure != nil {
		return nil, failure
	}
	present := map[int64]string{}
	for _, child := range children {
		child = strings.TrimSuffix(child, "/")
		number, err := strconv.ParseInt(strings.TrimSpace(child), 10, 64)
		if err != nil {
			continue
		}
		if other, twice := present[number]; twice {
			log.warning(srcSource, "Duplicate version directories detected. Version %d will be loaded from %s, %s will be ignored.",
				number, child, path.Base(other))
		}
		present[number] = joinPath(basePath, child)
	}
	return present, nil
}

// choose applies the version policy; "latest" without a number is the newest one.
func choose(model modelConfig, present map[int64]string) map[int64]string {
	wanted := map[int64]string{}
	switch model.policy.kind {
	case "all":
		return present
	case "specific":
		for _, version := range model.policy.specific {
			if folder, found := present[version]; found {
				wanted[version] = folder
				continue
			}
			log.warning(srcSource, "Version %d of servable %s, which was requested to be served as a 'specific' version in the "+
				"servable's version policy, was not found in the file system", version, model.name)
		}
	default:
		versions := make([]int64, 0, len(present))
		for version := range present {
			versions = append(versions, version)
		}
		sort.Slice(versions, func(i, j int) bool { return versions[i] > versions[j] })
		for _, version := range versions[:min(len(versions), max(model.policy.latest, 1))] {
			wanted[version] = present[version]
		}
	}
	return wanted
}
