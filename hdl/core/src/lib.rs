//! The RMT accelerator core, generated from one CoreConfig
