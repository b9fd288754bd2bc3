//! Registers for the values of an action: `r0` to `r15` and `v0` to `v7`.
//!
//! Linear scan over the order of the list, with exact live ranges: a value occupies its
//! register at the steps after which it is still needed, holes included. There is no memory to
//! spill to, so too many values at once is an error that says where and which.

use rmt_isa::limits::{SCALAR_REGISTERS, VECTOR_REGISTERS};

use crate::diagnostics::Diagnostic;
use crate::ir::{Class, Code, Operation, Reg, StepKind};

/// Values that the message about too many of them names.
const NAMED_VALUES: usize = 6;

/// Numbers of machine registers for the registers of the code; 0 for those never used.
pub(crate) struct Allocation {
    numbers: Vec<Option<u8>>,
}

impl Allocation {
    /// Number of the machine register.
    pub(crate) fn number(&self, register: Reg) -> u8 {
        self.numbers[register.0 as usize].unwrap_or(0)
    }
}

/// For each register of the code: the steps after which it holds a value that counts, as
/// ascending pieces, the last step included.
fn live_pieces(code: &Code) -> Vec<Vec<(u32, u32)>> {
    let mut pieces: Vec<Vec<(u32, u32)>> = vec![Vec::new(); code.registers.len()];
    code.walk_liveness(|index, step, live| {
        let index = index as u32;
        let dying: Vec<_> = step.writes().into_iter().filter(|r| !live.contains(*r)).collect();
        for register in live.iter().chain(dying) {
            let pieces = &mut pieces[register.0 as usize];
            match pieces.last_mut() {
                Some(piece) if piece.0 == index + 1 => piece.0 = index,
                _ => pieces.push((index, index)),
            }
        }
    });
    for pieces in &mut pieces {
        pieces.reverse();
    }
    pieces
}

/// What a register would like, to save a move.
#[derive(Clone, Copy, Debug)]
enum Wish {
    /// This machine register.
    Number(u8),
    /// The machine register of another one.
    Like(Reg),
}

/// Copies want one register for both sides, tail calls want theirs in `r1` and up.
fn wishes(code: &Code) -> Vec<Vec<Wish>> {
    let mut wishes = vec![Vec::new(); code.registers.len()];
    for step in &code.steps {
        match &step.kind {
            StepKind::Instruction(Operation { d: Some(d), a: Some(a), is_copy: true, .. }) => {
                wishes[d.0 as usize].push(Wish::Like(*a));
                wishes[a.0 as usize].push(Wish::Like(*d));
            }
            StepKind::TailCall { values, .. } => {
                for (value, number) in values.iter().zip(1..) {
                    wishes[value.0 as usize].push(Wish::Number(number));
                }
            }
            _ => {}
        }
    }
    wishes
}

/// The machine registers in use, while they are given out.
struct Allocator<'a> {
    code: &'a Code,
    pieces: Vec<Vec<(u32, u32)>>,
    numbers: Vec<Option<u8>>,
    /// For each class and step the registers in use after it, a bit each.
    used: [Vec<u16>; 2],
}

impl Allocator<'_> {
    fn class(&self, register: Reg) -> Class {
        self.code.info(register).class
    }

    fn take(&mut self, register: Reg, number: u8) {
        self.numbers[register.0 as usize] = Some(number);
        let class = self.class(register) as usize;
        for &(first, last) in &self.pieces[register.0 as usize] {
            for mask in &mut self.used[class][first as usize..=last as usize] {
                *mask |= 1 << number;
            }
        }
    }

    /// The machine registers that are free wherever `register` is needed, a bit each.
    fn free(&self, register: Reg) -> u16 {
        let class = self.class(register);
        let all = match class {
            Class::Scalar => (1_u32 << SCALAR_REGISTERS) - 1,
            Class::Vector => (1_u32 << VECTOR_REGISTERS) - 1,
        };
        let taken = self.pieces[register.0 as usize].iter().fold(0, |taken, &(first, last)| {
            let masks = &self.used[class as usize][first as usize..=last as usize];
            masks.iter().fold(taken, |taken, mask| taken | mask)
        });
        all as u16 & !taken
    }

    /// The first wish that can be granted.
    fn wished(&self, wishes: &[Wish], free: u16) -> Option<u8> {
        wishes.iter().find_map(|wish| {
            let number = match *wish {
                Wish::Number(number) => Some(number),
                Wish::Like(other) => self.numbers[other.0 as usize],
            };
            number.filter(|number| free >> number & 1 == 1)
        })
    }
}

/// Finds a machine register for every register of the code.
///
/// # Errors
/// A message for the first place where the machine has too few.
pub(crate) fn allocate(code: &Code) -> Result<Allocation, Box<Diagnostic>> {
    let steps = code.steps.len();
    let mut allocator = Allocator {
        code,
        pieces: live_pieces(code),
        numbers: vec![None; code.registers.len()],
        used: [vec![0; steps], vec![0; steps]],
    };
    if let Some(StepKind::Arguments(arguments)) = code.steps.first().map(|step| &step.kind) {
        for (register, number) in arguments.iter().zip(1..) {
            allocator.take(*register, number);
        }
    }
    let mut order: Vec<_> = (0..code.registers.len() as u32)
        .map(Reg)
        .filter_map(|register| Some((*allocator.pieces[register.0 as usize].first()?, register)))
        .collect();
    order.sort_unstable();
    let wishes = wishes(code);
    for (_, register) in order {
        if allocator.numbers[register.0 as usize].is_some() {
            continue;
        }
        let free = allocator.free(register);
        if free == 0 {
            return Err(Box::new(too_many(code, register, &allocator.pieces)));
        }
        let wished = allocator.wished(&wishes[register.0 as usize], free);
        allocator.take(register, wished.unwrap_or(free.trailing_zeros() as u8));
    }
    Ok(Allocation { numbers: allocator.numbers })
}

/// The message for `register`, which found none free.
fn too_many(code: &Code, register: Reg, pieces: &[Vec<(u32, u32)>]) -> Diagnostic {
    let class = code.info(register).class;
    let live_at = |step: u32| {
        (0..code.registers.len() as u32).map(Reg).filter(move |other| {
            let mut pieces = pieces[other.0 as usize].iter();
            code.info(*other).class == class && pieces.any(|&(a, b)| (a..=b).contains(&step))
        })
    };
    // The most crowded step of those where the register is needed.
    let steps = pieces[register.0 as usize].iter().flat_map(|&(first, last)| first..=last);
    let step =
        steps.max_by_key(|&step| (live_at(step).count(), std::cmp::Reverse(step))).unwrap_or(0);
    let (limit, what) = match class {
        Class::Scalar => (SCALAR_REGISTERS, "values"),
        Class::Vector => (VECTOR_REGISTERS, "vectors"),
    };
    let span = code.steps[step as usize].span;
    let mut diagnostic = Diagnostic::error(
        span,
        format!("more than {limit} live {what} are needed here"),
        format!("the machine has {limit} registers for {what} and no memory behind them"),
    )
    .help("use values soon after they are computed, keep them in the context record, or go on in another table with `goto`");
    let mut named: Vec<_> =
        live_at(step).filter(|other| code.info(*other).name.is_some()).collect();
    // Those that are kept longest are the ones to look at.
    named.sort_by_key(|other| {
        let pieces = &pieces[other.0 as usize];
        std::cmp::Reverse(pieces.iter().map(|&(first, last)| last - first + 1).sum::<u32>())
    });
    for other in named.into_iter().take(NAMED_VALUES) {
        let info = code.info(other);
        let name = info.name.as_deref().unwrap_or_default();
        let remark = match class {
            Class::Scalar => format!("`{name}` is kept from here"),
            Class::Vector => format!("the vector `{name}` is kept from here"),
        };
        diagnostic = diagnostic.related(info.span, remark);
    }
    diagnostic
}
