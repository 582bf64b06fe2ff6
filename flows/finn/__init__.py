"""The same accelerator through FINN's builder, and through Vivado where that is installed.

``builder`` runs FINN's builder with our steps, in a process of its own (``python -m
popshift.flows.finn JOB``); ``job`` is what the two processes tell each other; ``proof`` is the
step that fails the build where an integer differs. Nothing here imports FINN before it runs.
"""
