//! Small networks: trained in floating point, quantised, trained again in integers, made smaller.
//!
//! [`float`] is the network as it is trained, [`train`] trains it (also aware of its quantisation),
//! [`quantise`] makes it integers with the help of a calibration set. [`integer`] is the result, in
//! the machine's exact arithmetic: layers that become one instruction each, a model file, a `.rmt`
//! program. [`online`] trains a small network with integers only. The importer of ONNX makes
//! [`integer`] networks too.

pub mod float;
pub mod integer;
pub mod online;
pub mod program_text;
pub mod quantise;
pub mod train;

#[cfg(test)]
mod tests;
