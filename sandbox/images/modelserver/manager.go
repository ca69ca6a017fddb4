package main

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"
)

// versionState is where a version stands, under the name that the status API shows.
type versionState string

const (
	stateStart     versionState = "START"
	stateLoading   versionState = "LOADING"
	stateAvailable versionState = "AVAILABLE"
	stateUnloading versionState = "UNLOADING"
	stateEnd       versionState = "END"
)

// servable is one version of one model.
type servable struct {
	name    string
	version int64
	path    string
	state   versionState
	health  *status // why it ended; nil is OK
	model   *model
	aspired bool // the version policy wants it
}

func (s *servable) id() string { return fmt.Sprintf("{name: %s version: %d}", s.name, s.version) }

// manager loads and unloads versions and knows the state of each, also of those that are gone.
type manager struct {
	mu            sync.Mutex
	changed       *sync.Cond
	servables     map[string]map[int64]*servable
	slots         chan struct{} // loads at a time; nil while the first ones run, which are not limited
	retries       int
	retryInterval time.Duration
	warmup        bool
	metrics       *metrics
}

func newManager(retries int, retryInterval time.Duration, warmup bool, metrics *metrics) *manager {
	m := &manager{servables: map[string]map[int64]*servable{}, retries: retries, retryInterval: retryInterval,
		warmup: warmup, metrics: metrics}
	m.changed = sync.NewCond(&m.mu)
	return m
}

// limitLoads makes later loads take turns, threads at a time (0 is 1).
func (m *manager) limitLoads(threads int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slots == nil {
		m.slots = make(chan struct{}, max(threads, 1))
	}
}

// aspire makes paths (by version) the versions of a model that are to be served: what is new loads, what is not listed
// any more unloads. The last version that can answer stays until one of the listed ones can.
func (m *manager) aspire(name string, paths map[int64]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.servables[name]
	if known == nil {
		if len(paths) == 0 {
			return
		}
		known = map[int64]*servable{}
		m.servables[name] = known
	}
	for version, path := range paths {
		present := known[version]
		if present != nil && (present.state != stateEnd || present.aspired) {
			present.aspired = true
			continue
		}
		fresh := &servable{name: name, version: version, path: path, state: stateStart, aspired: true}
		known[version] = fresh
		go m.load(fresh, m.slots)
	}
	for version, present := range known {
		if _, wanted := paths[version]; !wanted {
			present.aspired = false
		}
	}
	m.unloadSpare(name)
	m.changed.Broadcast()
}

// unloadSpare starts to unload what is not wanted and not needed; mu is held.
func (m *manager) unloadSpare(name string) {
	wanted, ready := 0, 0
	for _, s := range m.servables[name] {
		if s.aspired {
			wanted++
			if s.state == stateAvailable {
				ready++
			}
		}
	}
	if wanted > 0 && ready == 0 {
		return
	}
	for _, s := range m.servables[name] {
		if !s.aspired && s.state == stateAvailable {
			log.info(srcHarness, "Quiescing servable version %s", s.id())
			log.info(srcHarness, "Done quiescing servable version %s", s.id())
			log.info(srcHarness, "Unloading just-loaded servable version %s", s.id())
			s.state, s.model = stateUnloading, nil
			go m.ended(s)
		}
	}
}

func (m *manager) ended(s *servable) {
	log.info(srcHarness, "Done unloading servable version %s", s.id())
	m.move(s, stateEnd, nil)
}

// move changes a version's state and tells who waits for it.
func (m *manager) move(s *servable, state versionState, health *status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.state, s.health = state, health
	m.unloadSpare(s.name)
	m.changed.Broadcast()
}

// load brings one version from START to AVAILABLE or END.
func (m *manager) load(s *servable, slots chan struct{}) {
	if slots != nil {
		slots <- struct{}{}
		defer func() { <-slots }()
	}
	log.info(srcManager, "Successfully reserved resources to load servable %s", s.id())
	log.info(srcHarness, "Approving load for servable version %s", s.id())
	log.info(srcHarness, "Loading servable version %s", s.id())
	m.move(s, stateLoading, nil)
	loaded, failure := m.loadWithRetries(s)
	if failure != nil {
		log.info(srcHarness, "Encountered an error for servable version %s: %s", s.id(), failure)
		m.move(s, stateEnd, failure)
		return
	}
	m.mu.Lock()
	s.model = loaded
	m.mu.Unlock()
	log.info(srcHarness, "Successfully loaded servable version %s", s.id())
	m.move(s, stateAvailable, nil)
}

func (m *manager) stillWanted(s *servable) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return s.aspired
}

func (m *manager) loadWithRetries(s *servable) (loaded *model, failure *status) {
	what := "Loading servable: " + s.id()
	for try := 0; ; try++ {
		started := time.Now()
		loaded, failure = loadModel(s.path)
		m.metrics.recordLoad(s.path, failure == nil, time.Since(started))
		if failure == nil {
			break
		}
		log.error(srcRetrier, "%s failed: %s", what, failure)
		if !m.stillWanted(s) {
			log.info(srcRetrier, "Retrying of %s was cancelled.", what)
			return nil, failure
		}
		if try >= m.retries {
			log.info(srcRetrier, "Retrying of %s exhausted max_num_load_retries: %d", what, m.retries)
			return nil, failure
		}
		time.Sleep(m.retryInterval)
		log.info(srcRetrier, "Retrying of %s retry: %d", what, try+1)
	}
	log.info(srcLoader, "SavedModel load for tags { serve }; Status: success: OK.")
	if m.warmup {
		log.info(srcWarmup, "No warmup data file found at %s/assets.extra/tf_serving_warmup_requests", s.path)
	}
	return loaded, nil
}

// await blocks until each model has a version that is AVAILABLE or has failed. A model without any version is waited for
// without end. The error lists those that failed; noun is what it calls them.
func (m *manager) await(names []string, noun string) *status {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		reached, failed := 0, []string{}
		for _, name := range names {
			s := m.decided(name)
			if s == nil {
				continue
			}
			reached++
			if s.state != stateAvailable {
				failed = append(failed, describeFailure(s))
			}
		}
		if reached < len(names) {
			m.changed.Wait()
			continue
		}
		if len(failed) == 0 {
			return nil
		}
		sort.Strings(failed)
		return &status{codeUnknown, fmt.Sprintf("%d %s(s) did not become available: {%s}",
			len(failed), noun, strings.Join(failed, ""))}
	}
}

func describeFailure(s *servable) string {
	if s.health == nil {
		return "{" + s.id() + "}, "
	}
	return "{" + s.id() + " due to error: " + s.health.String() + "}, "
}

// decided is the newest version that is AVAILABLE or END, nil while there is none; mu is held.
func (m *manager) decided(name string) *servable {
	for _, s := range m.sorted(name) {
		if s.state == stateAvailable || s.state == stateEnd {
			return s
		}
	}
	return nil
}

// sorted lists a model's versions, newest first, as the status API shows them; mu is held.
func (m *manager) sorted(name string) []*servable {
	list := make([]*servable, 0, len(m.servables[name]))
	for _, s := range m.servables[name] {
		list = append(list, s)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].version > list[j].version })
	return list
}

// versionStatus is what the status API says of a version.
type versionStatus struct {
	version int64
	state   versionState
	health  *status
}

// states reports a model's versions, or the one asked for; version nil is all of them.
func (m *manager) states(name string, version *int64) ([]versionStatus, *status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []versionStatus
	for _, s := range m.sorted(name) {
		if version == nil || s.version == *version {
			found = append(found, versionStatus{s.version, s.state, s.health})
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if version != nil {
		return nil, &status{codeNotFound, fmt.Sprintf("Could not find version %d of model %s", *version, name)}
	}
	return nil, &status{codeNotFound, "Could not find any versions of model " + name}
}

// available finds the version that answers a request: the one asked for, or the newest that is AVAILABLE.
func (m *manager) available(name string, version *int64) (*model, int64, *status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var best *servable
	for _, s := range m.servables[name] {
		matches := version == nil || s.version == *version
		if matches && s.state == stateAvailable && (best == nil || s.version > best.version) {
			best = s
		}
	}
	if best != nil {
		return best.model, best.version, nil
	}
	request := "Latest(" + name + ")"
	if version != nil {
		request = fmt.Sprintf("Specific(%s, %d)", name, *version)
	}
	return nil, 0, &status{codeNotFound, "Servable not found for request: " + request}
}
