//! What the instructions of a program use, and whether an engine has it.

use super::super::engine::{EngineShape, OPCODES};
use super::super::models_error::ModelLowerError;
use super::activations;
use crate::instruction::{Class, Instruction};
use crate::operand::Bias;
use crate::program::Program;

/// In which forms a tensor is needed.
#[derive(Clone, Copy, Default)]
pub(super) struct TensorUse {
    /// As weights of a product.
    pub(super) tiles: bool,
    /// As a bias, or as rows that are loaded.
    pub(super) rows: bool,
    /// As weights of a convolution.
    pub(super) convolved: bool,
}

/// What the instructions of a program use.
pub(super) struct Uses {
    pub(super) tensors: Vec<TensorUse>,
    pub(super) scales: Vec<bool>,
    pub(super) forests: Vec<bool>,
    pub(super) windows: Vec<bool>,
}

impl Uses {
    /// What a program uses.
    ///
    /// # Errors
    /// [`ModelLowerError`] for what does not exist, or that the engine does not have.
    pub(super) fn of(program: &Program, shape: &EngineShape) -> Result<Self, ModelLowerError> {
        let mut uses = Self {
            tensors: vec![TensorUse::default(); program.tensors.len()],
            scales: vec![false; program.scales.len()],
            forests: vec![false; program.forests.len()],
            windows: vec![false; program.windows.len()],
        };
        for action in &program.actions {
            let wide_product = (shape.activation_bits() < 16)
                .then(|| activations::wide_product(program, &action.code))
                .flatten();
            for (index, &instruction) in action.code.iter().enumerate() {
                uses.add(instruction).map_err(|object| ModelLowerError::NoSuchObject {
                    action: action.name.clone(),
                    instruction: index,
                    object,
                })?;
                let unsupported = |what: String, remedy| ModelLowerError::Unsupported {
                    action: action.name.clone(),
                    instruction: index,
                    what,
                    remedy,
                };
                if let Some(mnemonic) = missing_unit(instruction) {
                    let remedy = "run this program in software".to_owned();
                    return Err(unsupported(
                        format!("`{mnemonic}` has no unit on this card"),
                        remedy,
                    ));
                }
                if wide_product == Some(index) {
                    let what = format!(
                        "`{instruction}` multiplies a vector of i16, the array takes activations of {} bits",
                        shape.activation_bits()
                    );
                    let remedy =
                        "requantise it to i8, or use a card with `multiplier_products` = 1";
                    return Err(unsupported(what, remedy.to_owned()));
                }
                let lanes = lanes_of(program, instruction);
                if lanes > shape.vector_lanes as usize {
                    let what = format!(
                        "`{instruction}` makes {lanes} lanes, a vector register has {}",
                        shape.vector_lanes
                    );
                    let needed = lanes.next_power_of_two();
                    return Err(unsupported(what, format!("raise `vector_lanes` to {needed}")));
                }
            }
        }
        Ok(uses)
    }

    fn add(&mut self, instruction: Instruction) -> Result<(), String> {
        let missing = |what: &str, number: usize| format!("{what} {number}");
        let mut tensor = |number: usize, change: fn(&mut TensorUse)| {
            self.tensors.get_mut(number).map(change).ok_or_else(|| missing("tensor", number))
        };
        let mut window = |number: usize| {
            let used = self.windows.get_mut(number);
            used.map(|used| *used = true).ok_or_else(|| missing("window", number))
        };
        match instruction {
            Instruction::Conv2d { window: number, weights, bias, .. } => {
                window(number.index())?;
                tensor(weights.index(), |u| u.convolved = true)?;
                match bias {
                    Bias(Some(bias)) => tensor(bias.index(), |u| u.rows = true),
                    Bias(None) => Ok(()),
                }
            }
            Instruction::PoolMax { window: number, .. }
            | Instruction::PoolSum { window: number, .. } => window(number.index()),
            Instruction::VectorLoadTensor { tensor: number, .. } => {
                tensor(number.index(), |u| u.rows = true)
            }
            Instruction::MatMul { weights, bias, .. } => {
                tensor(weights.index(), |u| u.tiles = true)?;
                match bias {
                    Bias(Some(bias)) => tensor(bias.index(), |u| u.rows = true),
                    Bias(None) => Ok(()),
                }
            }
            Instruction::Requantise { scale, .. } => {
                let used = self.scales.get_mut(scale.index());
                used.map(|used| *used = true).ok_or_else(|| missing("scale", scale.index()))
            }
            Instruction::ForestEval { forest, .. } => {
                let used = self.forests.get_mut(forest.index());
                used.map(|used| *used = true).ok_or_else(|| missing("forest", forest.index()))
            }
            _ => Ok(()),
        }
    }
}

/// The mnemonic of an instruction that only the engine could execute, and does not.
fn missing_unit(instruction: Instruction) -> Option<&'static str> {
    let info = instruction.info();
    let by_context_unit = matches!(
        instruction,
        Instruction::VectorLoadContext { .. } | Instruction::VectorStoreContext { .. }
    );
    let mine = matches!(info.class, Class::Vector | Class::Model) && !by_context_unit;
    (mine && !OPCODES.contains(&info.opcode)).then_some(info.mnemonic)
}

/// Lanes of the vector that an instruction makes from something other than a vector.
fn lanes_of(program: &Program, instruction: Instruction) -> usize {
    let tensor = |number: usize| program.tensors.get(number);
    let dimension = |number: usize, index: usize| {
        tensor(number).and_then(|tensor| tensor.shape.get(index)).map_or(0, |&n| n as usize)
    };
    let places = |number: usize| program.windows.get(number).map_or(0, super::windows::places);
    match instruction {
        Instruction::Conv2d { window, weights, .. } => {
            places(window.index()).saturating_mul(dimension(weights.index(), 0))
        }
        Instruction::PoolMax { window, .. } | Instruction::PoolSum { window, .. } => {
            let channels = program.windows.get(window.index()).map_or(0, |w| w.channels.into());
            places(window.index()).saturating_mul(channels)
        }
        Instruction::VectorFill { lanes, .. }
        | Instruction::VectorLoadEvent { lanes, .. }
        | Instruction::VectorLoadContext { lanes, .. } => lanes.count(),
        Instruction::VectorLoadTensor { tensor, .. } => dimension(tensor.index(), 1),
        Instruction::MatMul { weights, .. } => {
            dimension(weights.index(), 0).max(dimension(weights.index(), 1))
        }
        _ => 0,
    }
}
