//! The .rmt language: parse, check, lower; diagnostics
