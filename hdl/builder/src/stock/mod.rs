//! Stock components: small, tested, and written as an author would write them.

pub mod stream;
