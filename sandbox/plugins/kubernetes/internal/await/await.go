// Package await waits until an object that was just written, or is being deleted, has become what it was meant to be.
package await

import (
	"context"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"tfserving-mesh/sandbox/plugins/kubernetes/internal/engine"
	"tfserving-mesh/sandbox/plugins/kubernetes/internal/object"
)

const defaultTimeout = 10 * time.Minute

// Subject is the object to wait for, and what surrounds it.
type Subject struct {
	Inputs  map[string]any             // what the program said
	Written *unstructured.Unstructured // the server's answer to the write
	Client  dynamic.ResourceInterface  // of the object's kind and namespace
	Dynamic dynamic.Interface
	Report  *engine.Reporter
	Timeout time.Duration
}

// Failure is an object that exists, but is not what it was meant to be.
type Failure struct {
	Message string
	Reasons []string                   // why, one by one
	Object  *unstructured.Unstructured // its last known state
}

func (f *Failure) Error() string { return f.Message }

// Timeout returns how long to wait: what the resource options say (in seconds, 0 for nothing), else the object's
// annotation, else ten minutes.
func Timeout(custom float64, inputs map[string]any) time.Duration {
	if custom > 0 {
		return time.Duration(custom * float64(time.Second))
	}
	if seconds, err := strconv.Atoi(object.Annotation(inputs, object.TimeoutSeconds)); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return defaultTimeout
}

// A condition is fed with what happens in the cluster and says when the wait is over.
type condition interface {
	sources() []source
	observe(event)
	// met tells whether the wait is over, and reports progress on the way.
	met() bool
	// metLate is asked once more when time is up.
	metLate() bool
	// reasons lists what is still missing.
	reasons() []string
	current() *unstructured.Unstructured
}

// ticker is a condition that wants to be told as time goes by.
type ticker interface{ tick() }

// doomed is a condition that may become impossible before time is up.
type doomed interface{ hopeless() bool }

// clock is a condition that changes by itself after some time.
type clock interface{ wake() <-chan time.Time }

// Ready waits until the object is ready, each kind in its own way; kinds without one are ready at once. It returns the
// last state seen. The error is a *Failure, or that of an annotation that makes no sense.
func Ready(ctx context.Context, s Subject) (*unstructured.Unstructured, error) {
	if object.AnnotatedTrue(s.Inputs, object.SkipAwait) {
		s.Report.Status(engine.Info, "Skipping await logic")
		return s.Written, nil
	}
	if expression := object.Annotation(s.Written.Object, object.WaitFor); expression != "" {
		wanted, err := parseWaitFor(s, expression)
		if err != nil {
			return s.Written, err
		}
		return run(ctx, s, wanted, "timed out waiting for the condition")
	}
	wanted := conditionFor(s)
	if wanted == nil {
		return s.Written, nil
	}
	return run(ctx, s, wanted, fmt.Sprintf("'%s' timed out waiting to be Ready", s.Written.GetName()))
}

func conditionFor(s Subject) condition {
	switch kind := s.Written.GroupVersionKind(); (schema.GroupKind{Group: kind.Group, Kind: kind.Kind}).String() {
	case "Deployment.apps":
		return newDeployment(s)
	case "StatefulSet.apps", "DaemonSet.apps":
		return newRollout(s)
	case "Service":
		return newService(s)
	case "Pod":
		return newPod(s)
	case "Job.batch":
		return newJob(s)
	case "PersistentVolumeClaim":
		return newClaim(s)
	default:
		return nil
	}
}

// Read looks once whether a live object is ready, as a refresh does. Its error is a *Failure that holds the object.
func Read(ctx context.Context, s Subject) error {
	if object.AnnotatedTrue(s.Inputs, object.SkipAwait) {
		return nil
	}
	wanted := conditionFor(s)
	if _, isClaim := wanted.(*claim); wanted == nil || isClaim {
		return nil
	}
	for _, source := range wanted.sources() {
		// Whatever cannot be listed is missing in the verdict, but does not make the object unreadable.
		list, err := source.client.List(ctx, source.options)
		if err != nil {
			continue
		}
		for i := range list.Items {
			wanted.observe(event{source: source.name, object: &list.Items[i]})
		}
	}
	if wanted.met() || wanted.metLate() {
		return nil
	}
	return failure(wanted, s.notInitialized())
}

func (s Subject) notInitialized() string {
	return fmt.Sprintf("Resource '%s' was created but failed to initialize", s.Written.GetName())
}

func run(ctx context.Context, s Subject, wanted condition, timedOut string) (*unstructured.Unstructured, error) {
	following, stop := context.WithCancel(ctx)
	defer stop()
	events := make(chan event)
	for _, source := range append(wanted.sources(), ownEvents(s)) {
		go source.follow(following, events)
	}
	deadline := time.NewTimer(s.Timeout)
	defer deadline.Stop()
	ticks := time.NewTicker(10 * time.Second)
	defer ticks.Stop()
	var wake <-chan time.Time
	for !wanted.met() {
		if clocked, ok := wanted.(clock); ok {
			wake = clocked.wake()
		}
		select {
		case happened := <-events:
			if happened.source == eventSource {
				reportEvent(s.Report, happened.object)
			} else {
				wanted.observe(happened)
			}
			if lost, ok := wanted.(doomed); ok && lost.hopeless() {
				return wanted.current(), failure(wanted, s.notInitialized())
			}
		case <-wake:
		case <-ticks.C:
			if ticking, ok := wanted.(ticker); ok {
				ticking.tick()
			}
		case <-ctx.Done():
			message := fmt.Sprintf("Resource operation was cancelled for %q", s.Written.GetName())
			return wanted.current(), failure(wanted, message)
		case <-deadline.C:
			if wanted.metLate() {
				return wanted.current(), nil
			}
			return wanted.current(), failure(wanted, timedOut)
		}
	}
	return wanted.current(), nil
}

func failure(wanted condition, message string) error {
	return &Failure{Message: message, Reasons: wanted.reasons(), Object: wanted.current()}
}

const eventSource = "events"

// ownEvents follows what Kubernetes reports of the object itself.
func ownEvents(s Subject) source {
	return source{
		name:    eventSource,
		client:  s.resource("", "v1", "events"),
		options: metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(s.Written.GetUID())},
	}
}

func reportEvent(report *engine.Reporter, happened *unstructured.Unstructured) {
	if happened != nil && object.Text(happened.Object, "type") == "Warning" {
		reason, message := object.Text(happened.Object, "reason"), object.Text(happened.Object, "message")
		report.Status(engine.Warning, reason+": "+message)
	}
}

// resource returns the client of a built-in kind in the object's namespace.
func (s Subject) resource(group, version, plural string) dynamic.ResourceInterface {
	resource := schema.GroupVersionResource{Group: group, Version: version, Resource: plural}
	return s.Dynamic.Resource(resource).Namespace(s.Written.GetNamespace())
}

// self follows the object alone.
func (s Subject) self() source {
	return source{name: "self", client: s.Client, options: metav1.ListOptions{FieldSelector: "metadata.name=" + s.Written.GetName()}}
}
