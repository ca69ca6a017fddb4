package await

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

const revisionAnnotation = "deployment.kubernetes.io/revision"

// deployment waits until the ReplicaSet of a Deployment's current revision has all its pods ready. It never gives up
// early: a crashing pod may still recover, and until the timeout nobody can tell.
type deployment struct {
	Subject
	live        *unstructured.Unstructured
	replicaSets objects
	pods        objects
	claims      objects
	seen        bool // the live object was seen since the write
}

func newDeployment(s Subject) *deployment {
	return &deployment{Subject: s, live: s.Written, replicaSets: objects{}, pods: objects{}, claims: objects{}}
}

func (d *deployment) sources() []source {
	sources := []source{
		d.self(),
		{name: "replicasets", client: d.resource("apps", "v1", "replicasets")},
		{name: "pods", client: d.resource("", "v1", "pods")},
	}
	if len(d.claimNames()) > 0 {
		sources = append(sources, source{name: "claims", client: d.resource("", "v1", "persistentvolumeclaims")})
	}
	return sources
}

func (d *deployment) observe(happened event) {
	switch happened.source {
	case "replicasets":
		d.replicaSets.observe(happened)
	case "pods":
		d.pods.observe(happened)
	case "claims":
		d.claims.observe(happened)
	default:
		if happened.object != nil && !happened.gone && happened.object.GetGeneration() >= d.Written.GetGeneration() {
			d.live, d.seen = happened.object, true
		}
	}
}

func (d *deployment) current() *unstructured.Unstructured { return d.live }

func (d *deployment) met() bool {
	if !d.observed() {
		return false
	}
	for _, message := range d.conditionErrors() {
		d.Report.Status(engine.Warning, message)
	}
	if d.complete() {
		if replicas := d.wantedReplicas(d.replicaSet()); replicas == 0 {
			d.Report.Status(engine.Warning, fmt.Sprintf("Replicas scaled to 0 for Deployment %q", d.live.GetName()))
		}
		d.Report.Status(engine.Info, "Deployment initialization complete")
		return true
	}
	if set := d.replicaSet(); set != nil && !d.setReady() {
		ready, _, _ := unstructured.NestedInt64(set.Object, "status", "readyReplicas")
		d.Report.Status(engine.Info, fmt.Sprintf(
			"Waiting for app ReplicaSet to be available (%d/%d Pods available)", ready, d.wantedReplicas(set)))
	}
	return false
}

func (d *deployment) metLate() bool { return false }

// tick shows what is wrong with the pods while there is still hope.
func (d *deployment) tick() {
	for _, problem := range d.podProblems() {
		d.Report.Status(engine.Warning, problem)
	}
}

// observed tells whether the controller has taken note of the generation that was written.
func (d *deployment) observed() bool {
	generation, found, err := unstructured.NestedInt64(d.live.Object, "status", "observedGeneration")
	return d.seen && err == nil && found && generation >= d.live.GetGeneration()
}

func (d *deployment) complete() bool {
	rolledOut := d.isFirst() || d.progressed()
	return rolledOut && d.available() && d.setReady() && len(d.unboundClaims()) == 0
}

// isFirst tells whether this is the first revision: one that rolls nothing out has no progress to report.
func (d *deployment) isFirst() bool { return d.revision() == "1" }

func (d *deployment) revision() string { return d.live.GetAnnotations()[revisionAnnotation] }

func (d *deployment) progressed() bool {
	condition := findCondition(d.live, "Progressing")
	return object.Text(condition, "status") == "True" && object.Text(condition, "reason") == "NewReplicaSetAvailable"
}

func (d *deployment) available() bool {
	return object.Text(findCondition(d.live, "Available"), "status") == "True"
}

func (d *deployment) conditionErrors() []string {
	var found []string
	for _, kind := range []string{"Progressing", "Available"} {
		condition := findCondition(d.live, kind)
		reason, message := object.Text(condition, "reason"), object.Text(condition, "message")
		if condition != nil && object.Text(condition, "status") != "True" && reason != "" && message != "" {
			found = append(found, fmt.Sprintf("[%s] %s", reason, message))
		}
	}
	return found
}

func findCondition(obj *unstructured.Unstructured, kind string) map[string]any {
	list, _ := object.Field(obj.Object, "status", "conditions")
	conditions, _ := list.([]any)
	for _, raw := range conditions {
		if condition, ok := raw.(map[string]any); ok && condition["type"] == kind {
			return condition
		}
	}
	return nil
}

// replicaSet returns the ReplicaSet of the current revision.
func (d *deployment) replicaSet() *unstructured.Unstructured {
	revision := d.revision()
	if revision == "" {
		return nil
	}
	for _, set := range d.replicaSets {
		if set.GetAnnotations()[revisionAnnotation] == revision && ownedBy(set, d.Written) {
			return set
		}
	}
	return nil
}

// wantedReplicas reads the live ReplicaSet, since someone may have scaled it after the program ran.
func (d *deployment) wantedReplicas(set *unstructured.Unstructured) int64 {
	if set == nil {
		return 1
	}
	replicas, found, err := unstructured.NestedInt64(set.Object, "spec", "replicas")
	if err != nil || !found {
		return 1
	}
	return replicas
}

func (d *deployment) setReady() bool {
	set := d.replicaSet()
	if set == nil {
		return false
	}
	ready, _, _ := unstructured.NestedInt64(set.Object, "status", "readyReplicas")
	return ready >= d.wantedReplicas(set)
}

func (d *deployment) claimNames() []string {
	list, _ := object.Field(d.Written.Object, "spec", "template", "spec", "volumes")
	volumes, _ := list.([]any)
	var names []string
	for _, raw := range volumes {
		volume, _ := raw.(map[string]any)
		if name := object.Text(volume, "persistentVolumeClaim", "claimName"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (d *deployment) unboundClaims() []string {
	var unbound []string
	for _, name := range d.claimNames() {
		if claim, ok := d.claims[name]; ok && object.Text(claim.Object, "status", "phase") != "Bound" {
			unbound = append(unbound, name)
		}
	}
	return unbound
}

func (d *deployment) podProblems() []string {
	set := d.replicaSet()
	return problems(d.pods, func(pod *unstructured.Unstructured) bool { return ownedBy(pod, set) })
}

func (d *deployment) reasons() []string {
	var reasons []string
	if d.seen {
		reasons = slices.Clone(d.conditionErrors())
	}
	if unbound := d.unboundClaims(); len(unbound) > 0 {
		reasons = append(reasons, fmt.Sprintf("Failed to bind PersistentVolumeClaim(s): %q", strings.Join(unbound, ",")))
	}
	switch {
	case !d.available():
		reasons = append(reasons, "Minimum number of live Pods was not attained")
	case d.isFirst() && !d.setReady(), !d.isFirst() && !d.progressed():
		reasons = append(reasons, "Minimum number of Pods to consider the application live was not attained")
	case !d.setReady():
		reasons = append(reasons,
			"Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live")
	}
	return append(reasons, d.podProblems()...)
}
