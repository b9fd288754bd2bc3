//! Counters in one memory.

use rtl_builder::prelude::*;

use crate::bits::few_sum;

/// Bits of a counter of the core.
const COUNTER_BITS: u32 = 48;
/// Cycles after which all that has happened shows: the host port waits as long before it reads counters.
pub(crate) const SETTLE_CYCLES: u64 = 32;

/// Counters that add up. What each counts is gathered in a few bits, and the memory takes what one of them has gathered in
/// each cycle, in turn: so a counter costs a row of the memory, in place of flip-flops, an adder and an input of what reads them.
pub(crate) struct Counters {
    rows: AsyncMem<UInt>,
    count: u64,
}

impl Counters {
    /// Counters with the names given, which go up by the amounts of each cycle; a memory of name `name`.
    pub(crate) fn new(name: &str, amounts: &[(String, UInt)]) -> Self {
        Self::of_bits(name, COUNTER_BITS, amounts)
    }

    /// The same of another width.
    pub(crate) fn of_bits(name: &str, bits: u32, amounts: &[(String, UInt)]) -> Self {
        let count = amounts.len() as u64;
        assert!(count + 5 <= SETTLE_CYCLES, "what is gathered shows in time");
        let turn_bits = bits_for(count);
        let rows = AsyncMem::new(name, uint(bits), count);
        let turn = reg(format!("{name}_turn"), uint(turn_bits), 0);
        let first_round = reg(format!("{name}_first_round"), boolean(), true)
            .doc("Rows still hold what was counted before the reset");
        let last = turn.eq(count - 1);
        let next = few_sum(turn.value(), UInt::lit(1, turn_bits));
        turn.next(mux(last, UInt::lit(0, turn_bits), next));
        when(last, || first_round.next(false));
        let widest = amounts.iter().map(|(_, amount)| amount.width()).max().unwrap_or(1);
        let gathered: Vec<UInt> = (0_u64..)
            .zip(amounts)
            .map(|(number, (name, amount))| {
                // Between two turns there are as many cycles as counters.
                let held_bits = amount.width() + turn_bits;
                let held = reg(name, uint(held_bits), 0);
                let amount = amount.zext(held_bits);
                held.next(mux(turn.eq(number), amount, held.wrapping_add(amount)));
                held.zext(widest + turn_bits)
            })
            .collect();
        // The choice has a cycle of its own before the sum.
        let more = delayed(format!("{name}_more"), select(turn.value(), &gathered)).zext(bits);
        let row_number = reg(format!("{name}_row"), uint(turn_bits), 0);
        row_number.next(turn);
        let anew = reg(format!("{name}_anew"), boolean(), true);
        anew.next(first_round);
        let row = mux(anew, UInt::lit(0, bits), rows.read(row_number));
        rows.write(Bool::lit(true), row_number, row.wrapping_add(more));
        Self { rows, count }
    }

    /// The counter of a number, 0 when there is none.
    pub(crate) fn read(&self, number: UInt) -> UInt {
        let row = self.rows.read(number.resize(bits_for(self.count)));
        mux(number.lt(self.count), row.zext(64), UInt::lit(0, 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Harness;

    #[derive(Clone, Ports)]
    struct HarnessIo {
        one: Input<UInt>,
        many: Input<UInt>,
        number: Input<UInt>,
        value: Output<UInt>,
    }

    impl Component for Harness {
        type Io = HarnessIo;

        fn name(&self) -> String {
            "counters_harness".into()
        }

        fn io(&self) -> HarnessIo {
            HarnessIo {
                one: input(uint(1)),
                many: input(uint(16)),
                number: input(uint(8)),
                value: output(uint(64)),
            }
        }

        fn build(&self, io: HarnessIo) {
            let never = UInt::lit(0, 3);
            let amounts = [("often", io.one.value()), ("much", io.many.value()), ("never", never)];
            let amounts = amounts.map(|(name, amount)| (name.to_owned(), amount));
            io.value.set(Counters::new("rows", &amounts).read(io.number.value()));
        }
    }

    #[test]
    fn all_that_is_counted_shows_and_nothing_of_before_a_reset() {
        let mut sim = elaborate(Harness).unwrap().simulator();
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..3 {
            sim.reset();
            let mut expected = [0; 4];
            for _ in 0..500 {
                let amounts = [random.u64(0..2), random.u64(0..1 << 16)];
                sim.poke("one", amounts[0]);
                sim.poke("many", amounts[1]);
                expected[0] += amounts[0];
                expected[1] += amounts[1];
                sim.step();
            }
            sim.poke("one", 0);
            sim.poke("many", 0);
            for _ in 0..SETTLE_CYCLES {
                sim.step();
            }
            for (number, expected) in (0_u64..).zip(expected) {
                sim.poke("number", number);
                assert_eq!(sim.peek("value"), expected, "counter {number}");
            }
        }
    }
}
