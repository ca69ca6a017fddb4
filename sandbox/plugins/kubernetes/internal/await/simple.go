package await

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

// alone is the part that conditions on nothing but the object itself have in common.
type alone struct {
	Subject
	live *unstructured.Unstructured
	seen bool
}

func newAlone(s Subject) alone { return alone{Subject: s, live: s.Written} }

func (a *alone) sources() []source { return []source{a.self()} }

func (a *alone) observe(happened event) {
	if happened.object != nil && !happened.gone && happened.object.GetGeneration() >= a.Written.GetGeneration() {
		a.live, a.seen = happened.object, true
	}
}

func (a *alone) current() *unstructured.Unstructured { return a.live }

func (a *alone) metLate() bool { return false }

func (a *alone) number(path ...string) int64 {
	value, _, _ := unstructured.NestedInt64(a.live.Object, path...)
	return value
}

// pod waits until a pod is ready or has succeeded.
type pod struct{ alone }

func newPod(s Subject) *pod { return &pod{newAlone(s)} }

func (p *pod) met() bool {
	if !p.seen {
		return false
	}
	state := examine(p.live)
	if state.problem != "" {
		p.Report.Status(engine.Warning, state.problem)
	} else if !state.ready {
		p.Report.Status(engine.Info, state.waiting)
	}
	return state.ready
}

func (p *pod) reasons() []string {
	if problem := examine(p.live).problem; problem != "" {
		return []string{problem}
	}
	return nil
}

// job waits until a Job has completed.
type job struct {
	alone
	pods objects
}

func newJob(s Subject) *job { return &job{alone: newAlone(s), pods: objects{}} }

func (j *job) sources() []source {
	return append(j.alone.sources(), source{name: "pods", client: j.resource("", "v1", "pods")})
}

func (j *job) observe(happened event) {
	if happened.source == "pods" {
		j.pods.observe(happened)
		return
	}
	j.alone.observe(happened)
}

func (j *job) met() bool {
	if !j.seen {
		return false
	}
	if object.Text(findCondition(j.live, "Complete"), "status") == "True" {
		return true
	}
	name := object.ID(j.live.GetNamespace(), j.live.GetName())
	if object.Text(j.live.Object, "status", "startTime") == "" {
		j.Report.Status(engine.Info, fmt.Sprintf("Waiting for Job %q to start", name))
		return false
	}
	j.Report.Status(engine.Info, fmt.Sprintf("Waiting for Job %q to succeed (Active: %d | Succeeded: %d | Failed: %d)", name,
		j.number("status", "active"), j.number("status", "succeeded"), j.number("status", "failed")))
	return false
}

// hopeless tells whether the Job has failed for good.
func (j *job) hopeless() bool {
	return j.seen && object.Text(findCondition(j.live, "Failed"), "status") == "True"
}

func (j *job) reasons() []string {
	var reasons []string
	if failed := findCondition(j.live, "Failed"); object.Text(failed, "status") == "True" {
		reasons = append(reasons, fmt.Sprintf("[%s] %s", object.Text(failed, "reason"), object.Text(failed, "message")))
	}
	return append(reasons, problems(j.pods, func(pod *unstructured.Unstructured) bool { return ownedBy(pod, j.Written) })...)
}

// claim waits until a PersistentVolumeClaim is bound, or pending where its class binds on first use.
type claim struct{ alone }

func newClaim(s Subject) *claim { return &claim{newAlone(s)} }

func (c *claim) met() bool {
	phase := object.Text(c.live.Object, "status", "phase")
	return c.seen && (phase == "Bound" || phase == "Pending" && c.bindsOnFirstUse())
}

func (c *claim) bindsOnFirstUse() bool {
	classes := metav1.SchemeGroupVersion.WithResource("storageclasses")
	classes.Group = "storage.k8s.io"
	ctx, cancel := shortly()
	defer cancel()
	class, err := c.Dynamic.Resource(classes).Get(ctx, object.Text(c.live.Object, "spec", "storageClassName"), metav1.GetOptions{})
	return err == nil && object.Text(class.Object, "volumeBindingMode") == "WaitForFirstConsumer"
}

func (c *claim) reasons() []string {
	return []string{"PersistentVolumeClaim is not bound; its phase is " + object.Text(c.live.Object, "status", "phase")}
}

// rollout waits until a StatefulSet or DaemonSet has all its pods ready at the newest revision.
type rollout struct {
	alone
	pods objects
}

func newRollout(s Subject) *rollout { return &rollout{alone: newAlone(s), pods: objects{}} }

func (r *rollout) sources() []source {
	return append(r.alone.sources(), source{name: "pods", client: r.resource("", "v1", "pods")})
}

func (r *rollout) observe(happened event) {
	if happened.source == "pods" {
		r.pods.observe(happened)
		return
	}
	r.alone.observe(happened)
}

func (r *rollout) met() bool {
	if !r.seen || r.number("status", "observedGeneration") < r.live.GetGeneration() {
		return false
	}
	wanted, updated, ready := r.counts()
	if updated >= wanted && ready >= wanted {
		return true
	}
	r.Report.Status(engine.Info, fmt.Sprintf("Waiting for %s to be available (%d/%d Pods ready)", r.live.GetKind(), ready, wanted))
	return false
}

func (r *rollout) counts() (wanted, updated, ready int64) {
	if r.live.GetKind() == "DaemonSet" {
		return r.number("status", "desiredNumberScheduled"), r.number("status", "updatedNumberScheduled"),
			r.number("status", "numberReady")
	}
	wanted = 1
	if replicas, found, err := unstructured.NestedInt64(r.live.Object, "spec", "replicas"); err == nil && found {
		wanted = replicas
	}
	return wanted, r.number("status", "updatedReplicas"), r.number("status", "readyReplicas")
}

func (r *rollout) reasons() []string {
	wanted, _, ready := r.counts()
	reasons := []string{fmt.Sprintf("%d out of %d replicas succeeded readiness checks", ready, wanted)}
	return append(reasons, problems(r.pods, func(pod *unstructured.Unstructured) bool { return ownedBy(pod, r.Written) })...)
}
