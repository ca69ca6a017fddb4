"""The operator's side: what a rollout looks like from the proxies that carry it."""
