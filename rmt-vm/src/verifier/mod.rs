//! The verifier: a program is proved harmless and its cost bounded, or it is refused.
