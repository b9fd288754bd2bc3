//! Learning in the terms of the kernel: integer trees, quantised networks, traces and baselines
