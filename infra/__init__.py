"""What the stack is made of: settings, and one component per step of serving models behind a mesh."""

import gc

# A program runs for seconds, and most objects live as long as it. Python would search them for garbage every 700 new
# ones, at import already, which takes a tenth of its time; so this comes before the first import from here.
gc.set_threshold(50_000)
