//! Look-ups against the definition of tables.

mod live;
mod random;

use super::*;
use crate::reference::program_of;
use rmt_isa::assembly::assemble;
use rmt_isa::card::lower;
use rmt_isa::operand::IntType;
use rmt_isa::program::*;

/// A table on a 16-bit and a 32-bit field of the event, with entries for even numbers.
fn program() -> Program {
    let mut program = program_of(assemble("exit decided").unwrap());
    let parameter = Parameter { name: "p".into(), kind: IntType::U64 };
    program.actions[0].parameters = vec![parameter];
    program.actions.push(Action { name: "other".into(), ..program.actions[0].clone() });
    let table = &mut program.tables[0];
    table.key = vec![
        KeyField { name: "a".into(), kind: IntType::I16, source: KeySource::Event { offset: 18 } },
        KeyField { name: "b".into(), kind: IntType::U32, source: KeySource::Event { offset: 8 } },
    ];
    table.capacity = 100;
    table.default = Some(ActionCall { action: 0, parameters: vec![999] });
    table.entries = (0..50)
        .map(|n| Entry {
            matcher: Matcher::Exact { key: (n % 3) << 32 | (2 * n) },
            priority: 0,
            call: ActionCall { action: 1, parameters: vec![n as u64] },
        })
        .collect();
    program
}

#[test]
fn one_look_up_each_cycle_is_sustained() {
    let shape = CardShape { match_fields: 4, ..CardShape::tiny() };
    let program = program();
    let image = lower(&program, Ordering::Pure, &shape).unwrap();
    let mut sim = elaborate(MatchUnit { shape }).unwrap().simulator();
    for write in &image.writes {
        sim.poke("host_address", write.address.into());
        sim.poke("host_data", write.value);
        // An access begins a cycle after its address is there.
        for now in [0, 1] {
            sim.poke("host_write", now);
            sim.step();
        }
    }
    sim.poke("host_write", 0);

    let event = |n: u64| Bits::from_words(512, &[0, n, (n % 3) << 16, 0, 0, 0, 0, 0]);
    sim.poke("beat_last", 1);
    for cycle in 0..124 {
        let events = (cycle < 120).into();
        sim.poke("first_valid", events);
        sim.poke("beat_valid", events);
        sim.poke("first_thread", cycle % 2);
        sim.poke("beat_thread", cycle % 2);
        sim.poke_bits("beat_data", &event(cycle));
        assert_eq!(sim.peek("hold"), 0);
        // What was asked three and four cycles ago.
        let entry = |n: u64| {
            let table = &program.tables[0];
            let matcher = Matcher::Exact { key: u128::from((n % 3) << 32 | n) };
            let entry = table.entries.iter().find(|entry| entry.matcher == matcher);
            entry.map_or(table.default.clone().unwrap(), |entry| entry.call.clone())
        };
        if (3..123).contains(&cycle) {
            let call = entry(cycle - 3);
            assert_eq!(sim.peek("start_valid"), 1, "cycle {cycle}");
            assert_eq!(sim.peek("start_thread"), (cycle - 3) % 2);
            let start = image.action_starts[usize::from(call.action)];
            assert_eq!(sim.peek("start_pc"), u64::from(start), "cycle {cycle}");
        }
        if cycle >= 4 {
            assert_eq!(sim.peek("parameters_valid"), 1);
            let values = sim.peek_bits("parameters_values");
            assert_eq!(values.words()[0], entry(cycle - 4).parameters[0], "cycle {cycle}");
        }
        sim.step();
    }
    assert_eq!(sim.peek("start_valid"), 0);
}
