"""What a stack may never contain: one module per policy, each a plain function, and the pack that the engine runs."""
