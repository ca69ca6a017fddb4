package await

import (
	"fmt"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// podState is how far a pod is, and in words what holds it up.
type podState struct {
	ready   bool
	waiting string // what is waited for, to be shown as progress
	problem string // what went wrong, to be shown as a warning and in the error; "" for nothing
}

// examine follows a pod through its stages: scheduled, initialized, ready. Only the first stage not reached counts.
func examine(raw *unstructured.Unstructured) podState {
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, &pod); err != nil {
		return podState{problem: err.Error()}
	}
	name := pod.Name
	if pod.Namespace != "" && pod.Namespace != "default" {
		name = pod.Namespace + "/" + pod.Name
	}
	scheduled := podCondition(pod, corev1.PodScheduled)
	if scheduled == nil || scheduled.Status != corev1.ConditionTrue {
		state := podState{waiting: fmt.Sprintf("Waiting for Pod %q to be scheduled", name)}
		if scheduled != nil && scheduled.Reason != "" && scheduled.Message != "" {
			state.waiting = scheduled.Message
		}
		return state
	}
	initialized := podCondition(pod, corev1.PodInitialized)
	if initialized == nil || initialized.Status != corev1.ConditionTrue {
		return podState{
			waiting: fmt.Sprintf("Waiting for Pod %q to be initialized", name),
			problem: podProblem(pod, initialized, name),
		}
	}
	ready := podCondition(pod, corev1.PodReady)
	if ready == nil || ready.Status != corev1.ConditionTrue && pod.Status.Phase != corev1.PodSucceeded {
		return podState{
			waiting: fmt.Sprintf("Waiting for Pod %q to be ready", name),
			problem: podProblem(pod, ready, name),
		}
	}
	return podState{ready: true}
}

func podCondition(pod corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// podProblem says what the unmet condition says, directly followed by what each container that is not ready says.
func podProblem(pod corev1.Pod, unmet *corev1.PodCondition, name string) string {
	if unmet == nil {
		return ""
	}
	var containers []string
	for _, status := range pod.Status.ContainerStatuses {
		containers = append(containers, containerProblems(status)...)
	}
	if len(containers) == 0 && unmet.Message == "" {
		return ""
	}
	text := fmt.Sprintf("[Pod %s]: ", name)
	if unmet.Reason != "" {
		text += unmet.Message
	}
	return text + strings.Join(containers, "\n")
}

func containerProblems(status corev1.ContainerStatus) []string {
	if status.Ready {
		return nil
	}
	var problems []string
	if waiting := status.State.Waiting; waiting != nil && waiting.Reason != "ContainerCreating" {
		problems = append(problems, fmt.Sprintf("[%s] %s", waiting.Reason, trimPull(waiting.Message)))
	}
	if ended := status.State.Terminated; ended != nil && ended.Reason != "" {
		if ended.Message != "" {
			problems = append(problems, fmt.Sprintf("[%s] %s", ended.Reason, trimPull(ended.Message)))
		} else {
			problems = append(problems, fmt.Sprintf("container %q completed with exit code %d", status.Name, ended.ExitCode))
		}
	}
	// With terminationMessagePolicy FallbackToLogsOnError this message is the end of the container's log.
	if last := status.LastTerminationState.Terminated; last != nil {
		problems = append(problems, fmt.Sprintf("container %q terminated at %s (%s: exit code %d)",
			status.Name, last.FinishedAt.UTC().Format(time.RFC3339Nano), last.Reason, last.ExitCode))
		if last.Message != "" {
			problems = append(problems, last.Message)
		}
	}
	return problems
}

func trimPull(message string) string {
	message = strings.TrimPrefix(message, "rpc error: code = Unknown desc = Error response from daemon: ")
	return strings.TrimSuffix(message, ": manifest unknown")
}

// problems lists what is wrong with the pods that pass the filter, in the order of their names.
func problems(pods objects, filter func(*unstructured.Unstructured) bool) []string {
	var found []string
	for _, pod := range pods {
		if !filter(pod) {
			continue
		}
		if problem := examine(pod).problem; problem != "" {
			found = append(found, problem)
		}
	}
	sort.Strings(found)
	return found
}
