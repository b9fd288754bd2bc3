//! Assembly: one instruction a line, driven by the operand lists of the table.
//!
//! ```text
//! start:                       ; a label
//!     ld_event r1, event+16, u64
//!     jeqi r1, 0, done         ; forward to a label, or `+n`
//!     out out0, r1
//! done:
//!     exit decided
//! ```
//!
//! `;` and `#` begin a comment. Mnemonics are matched exactly.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::instruction::{INSTRUCTIONS, Instruction, InstructionInfo};
use crate::operand::{Jump, Operand, OperandKind};

/// Why a text is not assembly. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// No instruction has this name.
    #[error("line {line}: there is no instruction `{mnemonic}`{}", suggestion.map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    UnknownMnemonic {
        /// Line of the text.
        line: usize,
        /// The word found.
        mnemonic: String,
        /// An instruction whose name differs in case only or begins alike.
        suggestion: Option<&'static str>,
    },
    /// Too many or too few operands.
    #[error("line {line}: `{mnemonic}` takes {expected} operands ({names}), {found} are given")]
    OperandCount {
        /// Line of the text.
        line: usize,
        /// The instruction.
        mnemonic: &'static str,
        /// Operands that it takes.
        expected: usize,
        /// Operands found.
        found: usize,
        /// Their names.
        names: String,
    },
    /// An operand is not of its kind.
    #[error(
        "line {line}: operand `{operand}` of `{mnemonic}` must be a {expected}, `{found}` is not"
    )]
    Operand {
        /// Line of the text.
        line: usize,
        /// The instruction.
        mnemonic: &'static str,
        /// Name of the operand.
        operand: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What was found.
        found: String,
    },
    /// A jump names a label that does not exist or does not lie ahead.
    #[error(
        "line {line}: label `{label}` {reason}; jumps go forward only, by at most 4095 instructions"
    )]
    Label {
        /// Line of the text.
        line: usize,
        /// The label.
        label: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A label is defined twice.
    #[error("line {line}: label `{label}` is already defined; choose another name")]
    DuplicateLabel {
        /// Line of the second definition.
        line: usize,
        /// The label.
        label: String,
    },
}

/// A line that holds an instruction.
struct Line<'a> {
    number: usize,
    mnemonic: &'a str,
    operands: Vec<&'a str>,
}

/// Assembles a text into instructions.
///
/// # Errors
/// The first [`AssembleError`], with its line.
pub fn assemble(text: &str) -> Result<Vec<Instruction>, AssembleError> {
    let mut labels = HashMap::new();
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let mut rest = line.split([';', '#']).next().unwrap_or("").trim();
        while let Some((label, behind)) = rest.split_once(':') {
            let label = label.trim();
            if labels.insert(label, lines.len()).is_some() {
                return Err(AssembleError::DuplicateLabel { line: number, label: label.into() });
            }
            rest = behind.trim();
        }
        if rest.is_empty() {
            continue;
        }
        let (mnemonic, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let operands = match operands.trim() {
            "" => Vec::new(),
            operands => operands.split(',').map(str::trim).collect(),
        };
        lines.push(Line { number, mnemonic, operands });
    }
    lines.iter().enumerate().map(|(index, line)| assemble_line(line, index, &labels)).collect()
}

fn assemble_line(
    line: &Line<'_>,
    index: usize,
    labels: &HashMap<&str, usize>,
) -> Result<Instruction, AssembleError> {
    let info = find_instruction(line)?;
    if info.operands.len() != line.operands.len() {
        let names: Vec<_> = info.operands.iter().map(|operand| operand.name).collect();
        return Err(AssembleError::OperandCount {
            line: line.number,
            mnemonic: info.mnemonic,
            expected: info.operands.len(),
            found: line.operands.len(),
            names: names.join(", "),
        });
    }
    let mut texts = Vec::with_capacity(line.operands.len());
    for (operand, &text) in info.operands.iter().zip(&line.operands) {
        texts.push(match operand.kind {
            OperandKind::Jump if !text.starts_with('+') => {
                resolve_label(line, index, text, labels)?.to_string()
            }
            _ => text.to_string(),
        });
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Instruction::from_texts(info, &texts).map_err(|operand| {
        let position = info.operands.iter().position(|other| other == operand).unwrap_or(0);
        AssembleError::Operand {
            line: line.number,
            mnemonic: info.mnemonic,
            operand: operand.name,
            expected: operand.kind.description(),
            found: texts[position].to_string(),
        }
    })
}

fn find_instruction(line: &Line<'_>) -> Result<&'static InstructionInfo, AssembleError> {
    let named = |info: &&InstructionInfo| info.mnemonic == line.mnemonic;
    INSTRUCTIONS.iter().find(named).ok_or_else(|| {
        let like = |info: &&InstructionInfo| info.mnemonic.eq_ignore_ascii_case(line.mnemonic);
        let near = |info: &&InstructionInfo| info.mnemonic.starts_with(line.mnemonic);
        let found = INSTRUCTIONS.iter().find(like).or_else(|| INSTRUCTIONS.iter().find(near));
        AssembleError::UnknownMnemonic {
            line: line.number,
            mnemonic: line.mnemonic.into(),
            suggestion: found.map(|info| info.mnemonic),
        }
    })
}

fn resolve_label(
    line: &Line<'_>,
    index: usize,
    label: &str,
    labels: &HashMap<&str, usize>,
) -> Result<Jump, AssembleError> {
    let error = |reason| AssembleError::Label { line: line.number, label: label.into(), reason };
    let &place = labels.get(label).ok_or_else(|| error("is not defined"))?;
    let distance = place.checked_sub(index + 1).ok_or_else(|| error("lies behind the jump"))?;
    let distance = u16::try_from(distance).ok().and_then(Jump::new);
    distance.ok_or_else(|| error("is too far away"))
}

/// Writes instructions as assembly that assembles to the same instructions, with a label at
/// each place that a jump reaches.
pub fn disassemble(code: &[Instruction]) -> String {
    let mut targets: Vec<usize> = (code.iter().enumerate())
        .filter_map(|(index, instruction)| Some(index + 1 + instruction.jump_target()? as usize))
        .filter(|&target| target <= code.len())
        .collect();
    targets.sort_unstable();
    targets.dedup();
    let label = |target: usize| targets.binary_search(&target).ok().map(|n| format!("l{n}"));

    let mut text = String::new();
    for (index, instruction) in code.iter().enumerate() {
        if let Some(label) = label(index) {
            let _ = writeln!(text, "{label}:");
        }
        let _ = write!(text, "    {}", instruction.info().mnemonic);
        for (position, operand) in instruction.operands().iter().enumerate() {
            let separator = if position == 0 { " " } else { ", " };
            let name = match operand.value {
                Operand::Jump(jump) => label(index + 1 + jump.index()),
                _ => None,
            };
            let name = name.unwrap_or_else(|| operand.value.to_string());
            let _ = write!(text, "{separator}{name}");
        }
        text.push('\n');
    }
    if let Some(label) = label(code.len()) {
        let _ = writeln!(text, "{label}:");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operand::{OPCODE, SLOTS, Slot};

    /// Words of an instruction whose operands run over edge values of their slots.
    fn words(info: &InstructionInfo) -> Vec<u64> {
        let ones = |slot: Slot| slot.extract(u64::MAX);
        let base = OPCODE.insert(info.opcode.into());
        let mut words: Vec<u64> = Vec::new();
        for shift in 0..32 {
            for edge in [0, 1, u64::MAX] {
                let place = |word: u64, (n, operand): (usize, &crate::instruction::OperandInfo)| {
                    let value = edge.rotate_left(shift) ^ n as u64;
                    word | operand.slot.insert(value & ones(operand.slot))
                };
                words.push(info.operands.iter().enumerate().fold(base, place));
            }
        }
        words
    }

    #[test]
    fn opcodes_ascend_and_mnemonics_are_unique() {
        assert!(INSTRUCTIONS.is_sorted_by(|a, b| a.opcode < b.opcode));
        let mut names: Vec<_> = INSTRUCTIONS.iter().map(|info| info.mnemonic).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn slots_of_one_instruction_do_not_overlap() {
        for info in INSTRUCTIONS {
            let width: u32 = info.operands.iter().map(|operand| operand.slot.bits).sum();
            assert_eq!(info.used_bits().count_ones(), width + OPCODE.bits, "{}", info.mnemonic);
        }
        assert!(SLOTS.iter().all(|slot| slot.low + slot.bits <= 64));
    }

    #[test]
    fn every_instruction_survives_word_and_text() {
        for info in INSTRUCTIONS {
            let decoded: Vec<_> =
                words(info).into_iter().filter_map(|word| Instruction::decode(word).ok()).collect();
            assert!(!decoded.is_empty(), "{} has no valid word", info.mnemonic);
            for instruction in decoded {
                assert_eq!(Instruction::decode(instruction.encode()), Ok(instruction));
                assert_eq!(assemble(&instruction.to_string()), Ok(vec![instruction]));
                let code = [instruction, Instruction::decode(0x01).unwrap()];
                assert_eq!(assemble(&disassemble(&code)).as_deref(), Ok(&code[..]));
            }
        }
    }

    #[test]
    fn decode_accepts_exactly_the_words_that_encode_makes() {
        let mut state = 1;
        for _ in 0..200_000 {
            state = crate::arithmetic::split_mix_64(state);
            // Half of the words keep a valid opcode, so that operands are reached too.
            let info = &INSTRUCTIONS[state as usize % INSTRUCTIONS.len()];
            let word =
                if state >> 63 == 0 { state } else { (state & !0xff) | u64::from(info.opcode) };
            let word = if state >> 62 & 1 == 0 { word } else { word & info.used_bits() };
            if let Ok(instruction) = Instruction::decode(word) {
                assert_eq!(instruction.encode(), word, "{instruction}");
            }
        }
    }

    #[test]
    fn errors_name_line_reason_and_remedy() {
        let error = |text: &str| assemble(text).unwrap_err().to_string();
        assert_eq!(
            error("\n ADD r1, r2, r3"),
            "line 2: there is no instruction `ADD`; did you mean `add`?"
        );
        assert_eq!(error("add r1, r2"), "line 1: `add` takes 3 operands (d, a, b), 2 are given");
        assert_eq!(
            error("add r1, r2, r16"),
            "line 1: operand `b` of `add` must be a scalar register, `r0` to `r15`, `r16` is not"
        );
        assert!(error("jump nowhere").contains("is not defined"));
        assert!(error("l: mov r1, r2\njump l").contains("lies behind the jump"));
        assert!(error("l:\nl:").contains("already defined"));
    }
}
