package await

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

// A Service's endpoints come and go in bursts: only after this long without a change does their state count.
const settleTime = 10 * time.Second

// service waits until the endpoints of a Service have settled with none that is not ready, and a load balancer has an
// address. Without a selector, headless or by external name there are no endpoints to wait for.
type service struct {
	Subject
	live    *unstructured.Unstructured
	seen    bool
	ready   bool // some endpoint is ready
	pending bool // some endpoint is not ready
	settles time.Time
}

func newService(s Subject) *service { return &service{Subject: s, live: s.Written} }

func (s *service) sources() []source {
	endpoints := s.self()
	endpoints.name, endpoints.client = "endpoints", s.resource("", "v1", "endpoints")
	return []source{s.self(), endpoints}
}

func (s *service) observe(happened event) {
	if happened.reset || happened.object.GetName() != s.Written.GetName() {
		return
	}
	if happened.source != "endpoints" {
		s.seen = !happened.gone
		if s.seen {
			s.live = happened.object
		}
		return
	}
	s.settles = time.Now().Add(settleTime)
	s.ready, s.pending = false, false
	list, _ := object.Field(happened.object.Object, "subsets")
	subsets, _ := list.([]any)
	for _, raw := range subsets {
		subset, _ := raw.(map[string]any)
		s.ready = s.ready || length(subset, "addresses") > 0
		s.pending = s.pending || length(subset, "notReadyAddresses") > 0
	}
}

func length(obj map[string]any, path ...string) int {
	value, _ := object.Field(obj, path...)
	list, _ := value.([]any)
	return len(list)
}

func (s *service) current() *unstructured.Unstructured { return s.live }

func (s *service) wake() <-chan time.Time {
	if s.settles.IsZero() {
		return nil
	}
	return time.After(max(time.Until(s.settles), time.Millisecond))
}

func (s *service) met() bool {
	if !s.hasEndpoints() {
		return s.allocated()
	}
	s.Report.Status(engine.Info, "[1/3] Finding Pods to direct traffic to")
	settled := !s.settles.IsZero() && time.Now().After(s.settles)
	if settled && s.allocated() && !s.pending {
		s.Report.Status(engine.Info, "Service initialization complete")
		return true
	}
	if settled && s.ready {
		s.Report.Status(engine.Info, "[2/3] Attempting to allocate IP address to Service")
	}
	return false
}

// metLate does not insist on endpoints having settled.
func (s *service) metLate() bool { return s.allocated() && !s.pending }

func (s *service) kind() string {
	if kind := object.Text(s.live.Object, "spec", "type"); kind != "" {
		return kind
	}
	return string(corev1.ServiceTypeClusterIP)
}

// allocated tells whether the Service is there and, where its type asks for one, has an address from outside.
func (s *service) allocated() bool {
	return s.seen && (s.kind() != string(corev1.ServiceTypeLoadBalancer) ||
		length(s.live.Object, "status", "loadBalancer", "ingress") > 0)
}

func (s *service) hasEndpoints() bool {
	selector, _ := object.Field(s.live.Object, "spec", "selector")
	labels, _ := selector.(map[string]any)
	return len(labels) > 0 && s.kind() != string(corev1.ServiceTypeExternalName) && !s.headless()
}

func (s *service) headless() bool {
	return object.Text(s.live.Object, "spec", "clusterIP") == corev1.ClusterIPNone
}

func (s *service) reasons() []string {
	if s.headless() || s.kind() == string(corev1.ServiceTypeExternalName) {
		return nil
	}
	var reasons []string
	if !s.ready {
		reasons = append(reasons, "Service does not target any Pods. Selected Pods may not be ready, or "+
			"field '.spec.selector' may not match labels on any Pods")
	}
	if s.kind() == string(corev1.ServiceTypeLoadBalancer) && !s.allocated() {
		reasons = append(reasons, "Service was not allocated an IP address; does your cloud provider support this?")
	}
	return reasons
}
