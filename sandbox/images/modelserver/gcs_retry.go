package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// retryPolicy is TensorFlow's: what may pass is tried again after initial, 2*initial, ... up to longest, each time plus
// up to a second; 0 is no wait at all. Nothing of it is logged. With the defaults for buckets a host that cannot be
// reached is reported after more than three minutes.
type retryPolicy struct {
	initial, longest time.Duration
	retries          int
	sleep            func(time.Duration)
}

func gcsRetryPolicy(env func(string) string) retryPolicy {
	return retryPolicy{
		initial: microseconds(env, "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US", time.Second),
		longest: microseconds(env, "GCS_RETRY_CONFIG_MAX_DELAY_TIME_US", 32*time.Second),
		retries: int(number(env, "GCS_RETRY_CONFIG_MAX_RETRIES", 10, 31)),
		sleep:   time.Sleep,
	}
}

// metadataRetryPolicy has no variables in TensorFlow.
func metadataRetryPolicy() retryPolicy {
	return retryPolicy{initial: 10 * time.Millisecond, longest: time.Second, retries: 10, sleep: time.Sleep}
}

// call tries until try succeeds, fails for good, or has failed too often, which is ABORTED so that nobody tries again.
func (p retryPolicy) call(try func() *status) *status {
	for done := 0; ; done++ {
		failure := try()
		if failure == nil || failure.code != codeUnavailable && failure.code != codeDeadlineExceeded && failure.code != codeUnknown {
			return failure
		}
		if done >= p.retries {
			return &status{codeAborted, fmt.Sprintf("All %d retry attempts failed. The last failure: %s", p.retries, failure.message)}
		}
		if p.initial > 0 {
			wait := p.longest
			if factor := time.Duration(1) << min(done, 30); p.initial < p.longest/factor {
				wait = p.initial * factor
			}
			p.sleep(wait + rand.N(time.Second))
		}
	}
}

// number reads an unsigned variable; what is no number counts as unset, as in TensorFlow.
func number(env func(string) string, name string, preset uint64, bits int) uint64 {
	if value, err := strconv.ParseUint(env(name), 10, bits); err == nil {
		return value
	}
	return preset
}

func microseconds(env func(string) string, name string, preset time.Duration) time.Duration {
	return time.Duration(number(env, name, uint64(preset/time.Microsecond), 40)) * time.Microsecond
}

func seconds(env func(string) string, name string, preset time.Duration) time.Duration {
	return time.Duration(number(env, name, uint64(preset/time.Second), 32)) * time.Second
}
