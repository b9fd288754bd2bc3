//! Constants: initialisers, `Constant` nodes, and quantised constants.

use std::collections::HashMap;

use super::proto::{GraphProto, NodeProto, TensorProto};

/// Most elements of one constant.
const MAX_ELEMENTS: usize = 1 << 24;

/// Element types that are read, by their number in the format.
mod kind {
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const DOUBLE: i32 = 11;
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Lengths of the dimensions; none: a single value.
    pub shape: Vec<usize>,
    /// Values: exact for all types but the largest of 64-bit integers.
    pub values: Vec<f64>,
    /// Whether elements are unsigned bytes.
    pub is_u8: bool,
    /// Scales and zero points of a quantised constant, one or one for each row.
    pub quantised: Option<(Vec<f64>, Vec<i64>)>,
}

impl Constant {
    /// Reads a tensor message.
    pub fn read(tensor: &TensorProto) -> Result<Self, String> {
        let name = &tensor.name;
        if tensor.data_location != 0 {
            return Err(format!("tensor {name} lies in another file; save the model in one file"));
        }
        let shape = tensor
            .dims
            .iter()
            .map(|length| {
                usize::try_from(*length)
                    .map_err(|_| format!("tensor {name} has a length of {length}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let count = shape
            .iter()
            .try_fold(1usize, |product, length| product.checked_mul(*length))
            .filter(|count| *count <= MAX_ELEMENTS)
            .ok_or_else(|| format!("tensor {name} has more than {MAX_ELEMENTS} elements"))?;
        fn raw<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            bytes.as_chunks::<N>().0.iter().map(|bytes| convert(*bytes)).collect()
        }
        let bytes = &tensor.raw_data;
        let is_raw = !bytes.is_empty();
        let of_i32 = || tensor.int32_data.iter().map(|v| f64::from(*v)).collect();
        let values: Vec<f64> = match tensor.data_type {
            kind::FLOAT if is_raw => raw(bytes, |b| f32::from_le_bytes(b).into()),
            kind::FLOAT => tensor.float_data.iter().map(|v| f64::from(*v)).collect(),
            kind::DOUBLE if is_raw => raw(bytes, f64::from_le_bytes),
            kind::DOUBLE => tensor.double_data.clone(),
            kind::UINT8 if is_raw => bytes.iter().map(|b| f64::from(*b)).collect(),
            kind::INT8 if is_raw => bytes.iter().map(|b| f64::from(*b as i8)).collect(),
            kind::INT32 if is_raw => raw(bytes, |b| i32::from_le_bytes(b).into()),
            kind::UINT8 | kind::INT8 | kind::INT32 => of_i32(),
            kind::INT64 if is_raw => raw(bytes, |b| i64::from_le_bytes(b) as f64),
            kind::INT64 => tensor.int64_data.iter().map(|v| *v as f64).collect(),
            other => {
                return Err(format!(
                    "tensor {name} has elements of type {other}, which is not supported; use float, double, int8, uint8, int32 or int64"
                ));
            }
        };
        if values.len() != count {
            return Err(format!(
                "tensor {name} has {} values for the shape {shape:?}",
                values.len()
            ));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(format!(
                "tensor {name} holds {value}; train again, or export the weights again"
            ));
        }
        Ok(Self { shape, values, is_u8: tensor.data_type == kind::UINT8, quantised: None })
    }

    /// The lone value.
    pub fn scalar(&self) -> Option<f64> {
        match self.values.as_slice() {
            [value] => Some(*value),
            _ => None,
        }
    }

    /// Real values: those of a quantised constant scaled.
    pub fn real(&self) -> Vec<f64> {
        let Some((scales, zeros)) = &self.quantised else { return self.values.clone() };
        let row = (self.values.len() / scales.len().max(1)).max(1);
        (self.values.iter().enumerate())
            .map(|(index, value)| {
                let channel = (index / row).min(scales.len() - 1);
                (value - zeros[channel.min(zeros.len() - 1)] as f64) * scales[channel]
            })
            .collect()
    }

    /// The transposed matrix; scales of columns become scales of rows only where there is one.
    pub fn transposed(&self) -> Result<Self, String> {
        let [rows, columns] = self.shape[..] else {
            return Err(format!("a matrix is needed, the shape is {:?}", self.shape));
        };
        let values = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| row * columns + column))
            .map(|index| self.values[index])
            .collect();
        Ok(Self { shape: vec![columns, rows], values, ..self.clone() })
    }
}

/// All constants of a graph by name.
#[derive(Debug, Default)]
pub struct Constants {
    by_name: HashMap<String, Constant>,
}

impl Constants {
    /// Reads all initialisers.
    pub fn of(graph: &GraphProto) -> Result<Self, String> {
        let mut constants = Self::default();
        for tensor in &graph.initializer {
            constants.by_name.insert(tensor.name.clone(), Constant::read(tensor)?);
        }
        Ok(constants)
    }

    /// The constant of a name.
    pub fn get(&self, name: &str) -> Option<&Constant> {
        self.by_name.get(name)
    }

    /// The constant that is input number `index` of a node.
    pub fn input(&self, node: &NodeProto, index: usize) -> Result<&Constant, String> {
        let name = node.input.get(index).map_or("", String::as_str);
        self.get(name).ok_or_else(|| {
            format!(
                "{}: input {index} ('{name}') is no constant, which is not supported",
                node.label()
            )
        })
    }

    /// The lone number that is an input; `default` where the input is left out.
    pub fn scalar(&self, node: &NodeProto, index: usize, default: f64) -> Result<f64, String> {
        if node.input.get(index).is_none_or(String::is_empty) {
            return Ok(default);
        }
        self.input(node, index)?.scalar().ok_or_else(|| {
            format!("{}: input {index} has several values where one is supported", node.label())
        })
    }

    /// Evaluates a node of constants only; tells whether it was one.
    pub fn fold(&mut self, node: &NodeProto) -> Result<bool, String> {
        let Some(output) = node.output.first() else { return Ok(false) };
        let first = node.input.first().and_then(|name| self.get(name)).cloned();
        let folded = match (node.op_type.as_str(), first) {
            ("Constant", _) => {
                let Some(tensor) = node.attribute("value").and_then(|value| value.t.as_ref())
                else {
                    return Err(format!(
                        "{}: only the attribute 'value' is supported",
                        node.label()
                    ));
                };
                Constant::read(tensor)?
            }
            ("Identity", Some(constant)) => constant,
            ("Transpose", Some(constant)) => {
                if constant.quantised.as_ref().is_some_and(|(scales, _)| scales.len() > 1) {
                    return Err(format!(
                        "{}: scales for each column are not supported",
                        node.label()
                    ));
                }
                constant.transposed().map_err(|reason| format!("{}: {reason}", node.label()))?
            }
            ("DequantizeLinear", Some(constant)) => {
                let scales = self.input(node, 1)?.values.clone();
                let zeros = match node.input.get(2).filter(|name| !name.is_empty()) {
                    Some(_) => self.input(node, 2)?.values.iter().map(|v| *v as i64).collect(),
                    None => vec![0; scales.len()],
                };
                if scales.is_empty() || zeros.len() != scales.len() {
                    return Err(format!(
                        "{}: {} scales and {} zero points",
                        node.label(),
                        scales.len(),
                        zeros.len()
                    ));
                }
                Constant { quantised: Some((scales, zeros)), ..constant }
            }
            _ => return Ok(false),
        };
        self.by_name.insert(output.clone(), folded);
        Ok(true)
    }
}
