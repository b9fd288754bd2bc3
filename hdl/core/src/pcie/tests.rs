//! The crossing of the sideband under edges in any order, and the card around it.

use rmt_isa::card::CardShape;
use rtl_builder::prelude::*;

use super::Link;
use super::card::PcieCard;
use super::sideband::SidebandCrossing;

/// Signals that the tests change: each a port's name, and its width.
const SIGNALS: [(&str, u32); 4] =
    [("completer_id", 16), ("max_payload", 3), ("bus_master", 1), ("link_up", 1)];

fn state(sim: &mut Simulator, side: &str) -> [u64; 4] {
    SIGNALS.map(|(name, _)| sim.peek(&format!("{side}_{name}")))
}

#[test]
fn the_card_sees_whole_states_in_their_order_and_every_reset() {
    for card_share in [0.2, 0.5, 0.9] {
        let mut sim = elaborate(SidebandCrossing).unwrap().simulator();
        let mut rng = fastrand::Rng::with_seed(5);
        sim.reset();
        // All states so far, from the one after reset, and how far the card's side is.
        let (mut states, mut at) = (vec![[0; 4]], 0);
        let (mut asked, mut seen, mut pulse, mut resets) = (false, false, false, 0);
        for step in 0..30_000 {
            // It rests for a while at times, so that the card's side has to come to the last state.
            let rests = step % 1000 >= 800;
            if rng.f64() < card_share {
                sim.step_domain::<Main>();
                seen |= sim.peek("card_function_reset") == 1;
                let now = state(&mut sim, "card");
                let next = states[at..].iter().position(|state| *state == now);
                at += next.unwrap_or_else(|| panic!("{now:?} at step {step} after state {at}"));
            } else {
                if !rests && rng.f64() < 0.3 {
                    let (name, width) = SIGNALS[rng.usize(0..4)];
                    sim.poke(&format!("link_{name}"), rng.u64(0..1 << width));
                    states.push(state(&mut sim, "link"));
                }
                // Two pulses too near to each other may be one for the card: another only after the answer.
                pulse = !rests && !asked && rng.f64() < 0.1;
                asked |= pulse;
                sim.poke("link_function_reset", pulse.into());
                sim.step_domain::<Link>();
            }
            if asked && seen && !pulse && sim.peek("card_function_reset") == 0 {
                (asked, seen) = (false, false);
                resets += 1;
            }
            if step % 1000 == 999 {
                assert_eq!(states[at], *states.last().unwrap(), "step {step}");
                assert!(!asked, "a reset was lost, step {step}");
            }
        }
        assert!(resets > 100 && states.len() > 500, "{resets} resets, {} states", states.len());
    }
}

#[test]
fn a_reset_that_never_ends_between_two_pulses_is_still_told_and_ends() {
    let mut sim = elaborate(SidebandCrossing).unwrap().simulator();
    sim.reset();
    for pulse in [1, 0, 1, 0, 0] {
        sim.poke("link_function_reset", pulse);
        sim.step_domain::<Link>();
    }
    let shown: Vec<u64> = (0..20)
        .map(|_| {
            sim.step();
            sim.peek("card_function_reset")
        })
        .collect();
    assert!(shown.contains(&1), "{shown:?}");
    assert_eq!(shown.last(), Some(&0), "{shown:?}");
}

#[test]
fn a_card_of_either_width_can_be_built() {
    for (queues, stream_bits) in [(1, 64), (2, 128)] {
        let shape = CardShape { queues, stream_bits, ..CardShape::tiny() };
        let design = elaborate(PcieCard { shape }).unwrap();
        let (_, top) = design.files().pop().unwrap();
        for clock in ["clk", "rst", "link_clk", "link_rst"] {
            assert!(top.contains(&format!(" {clock},")), "{clock} in {top}");
        }
    }
}
