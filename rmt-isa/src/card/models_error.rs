//! Why a program's models cannot be put on a card.

/// Why the models of a program do not fit the ML engine of a card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelLowerError {
    /// There are more objects than descriptors.
    #[error(
        "the program has {needed} {parameter}, the card has descriptors for {available}: \
         raise `{parameter}` of the engine to {needed}"
    )]
    Descriptors {
        /// The kind of object, which is also the parameter's name.
        parameter: &'static str,
        /// How many the program has.
        needed: usize,
        /// How many the card has.
        available: u32,
    },
    /// A memory is full.
    #[error(
        "{object} does not fit: up to it the program needs {needed} `{parameter}`, the card has {available}; \
         raise `{parameter}` of the engine"
    )]
    Memory {
        /// The object that found no room.
        object: String,
        /// The parameter that sizes the memory.
        parameter: &'static str,
        /// What the objects up to this one need, in the parameter's unit.
        needed: usize,
        /// What the card has.
        available: u32,
    },
    /// The engine has no unit for an instruction, or its registers are too short.
    #[error("action `{action}`, instruction {instruction}: {what}; {remedy}")]
    Unsupported {
        /// Name of the action.
        action: String,
        /// Index of the instruction.
        instruction: usize,
        /// What is asked for and what the card has.
        what: String,
        /// What would help.
        remedy: String,
    },
    /// An instruction names an object that does not exist.
    #[error(
        "action `{action}`, instruction {instruction}: there is no {object}; verify the program first"
    )]
    NoSuchObject {
        /// Name of the action.
        action: String,
        /// Index of the instruction.
        instruction: usize,
        /// Kind and number of the object.
        object: String,
    },
    /// A tensor has a shape that the engine cannot hold.
    #[error(
        "tensor `{tensor}`: {reason}; raise `vector_lanes` of the engine or use a smaller layer"
    )]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// A window is larger than the engine's vectors.
    #[error(
        "window `{window}`: {reason}; raise `vector_lanes` of the engine or use a smaller window"
    )]
    Window {
        /// Name of the window.
        window: String,
        /// What is wrong.
        reason: String,
    },
    /// A scale has no channel.
    #[error("scale `{scale}` has no channel; give at least one")]
    EmptyScale {
        /// Name of the scale.
        scale: String,
    },
    /// A forest is malformed.
    #[error("forest `{forest}`: {reason}; verify the program first")]
    Forest {
        /// Name of the forest.
        forest: String,
        /// What is wrong.
        reason: String,
    },
}
