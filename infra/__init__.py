"""What the stack is made of: settings, and one component per step of serving models behind a mesh."""
