//! The steps of an admin command.

use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::device::admin::command_layout;
use rmt_isa::device::admin::{HOST_ALIGNMENT, MAX_COUNT};
use rmt_isa::device::{AdminOpcode, AdminStatus, CORE_TIMEOUT_CYCLES, QueueError};
use rmt_isa::event::WireField;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::{Admin, AdminIo, COUNTER_NUMBER_BITS, COUNTERS_PER_LINE};
use crate::bits::{at_most, few_sum, low_ones, one_less, one_more_of_few};
use crate::counters::SETTLE_CYCLES;
use crate::queue::core_access::CoreRequest;
use crate::queue::dispatch::PairRecord;
use crate::queue::pair::PairStrobes;
use crate::tlp::request::outcome;
use crate::tlp::{ADMIN_SLOT, PostedWrite, ReadOrder, is_long, join};

/// The word of a command that is taken first: the one behind its value, which so is taken last.
const FIRST_WORD: u64 = (command_layout::VALUE.offset as u64 + 8) / 8;

#[derive(Clone, Copy, Debug, State)]
enum Step {
    /// Waits for a command in the ring.
    Idle,
    /// A read of data is sized.
    Size,
    /// A read is ordered.
    Order,
    /// The read is under way.
    Fetch,
    /// A line is read from the slot.
    Line,
    /// The line is there: a word of it is taken.
    Take,
    /// The word is part of a command, or an address.
    Sort,
    /// The command is looked at.
    Decode,
    /// Counters are read.
    Gather,
    /// A word goes to the core, or comes from it.
    Access,
    /// A line goes to host memory.
    Write,
    /// A pair becomes idle.
    Drain,
    /// The completion is written.
    Finish,
}

/// What the unit consists of.
pub(super) fn build(admin: &Admin, io: &AdminIo) {
    let view = io.view.value();
    let step = fsm("step", Step::Idle);
    // That a command waits and its completion has a place is known a cycle late, and looked at where nothing is under way:
    // an error of the command before shows by then.
    let may_fetch = reg("may_fetch", boolean(), false);
    let idle = step.is(Step::Idle);
    may_fetch.next(idle & view.running & view.has_events & !view.free.is_zero());
    let is_command = reg("is_command", boolean(), false).doc("The read fetches a command");
    let order = reg_uninit("order_out", ReadOrder::shape());
    let status = reg("status", uint(8), 0);
    let results: Vec<_> =
        (0..3).map(|index| reg(format!("result_{index}"), uint(64), UInt::lit(0, 64))).collect();

    // The command.
    let tag = reg("tag", uint(32), 0);
    let host = reg("host", uint(64), UInt::lit(0, 64)).doc("Next line of host memory");
    let address = reg("core_word", uint(ADDRESS_BITS), 0).doc("Next word of the core");
    let left = reg("words_left", uint(21), 0);
    let last_word = reg("last_word", boolean(), false).doc("One word is left");
    let none_left = reg("none_left", boolean(), false).doc("None is, once words were counted");
    let value = reg("value", uint(64), UInt::lit(0, 64)).doc("The word that was taken last");
    // The opcode is decoded as its word is sorted.
    let opcodes: Vec<_> = (AdminOpcode::ALL.iter())
        .map(|&code| {
            // The names of the opcodes have hyphens, those of signals may not.
            let name = code.text().replace('-', "_");
            (code, reg(format!("is_{name}"), boolean(), false))
        })
        .collect();
    let is = |code: AdminOpcode| {
        let of_code = |(own, _): &&(AdminOpcode, Reg<Bool>)| *own as u64 == code as u64;
        opcodes.iter().find(of_code).expect("all opcodes are there").1.value()
    };
    let is_list = is(AdminOpcode::WriteList);
    let is_pair = delayed("is_pair", value.lt(u64::from(admin.queues)));
    let reserved = reg("reserved", boolean(), false).doc("Reserved bytes are not zero");
    let counted = reg("counted", boolean(), false).doc("The number of words is allowed");
    let in_core = reg("in_core", boolean(), false).doc("The core's word is an address");

    // Where in the slot and in the line.
    let slot_line = reg("slot_line", uint(3), 0).doc("Line of the slot");
    let slot_lines = reg("slot_lines", uint(4), 0).doc("Lines of the slot that are left");
    let word = reg("word", uint(3), 0).doc("Word of the line that comes next");
    let reads_back = reg("reads_back", boolean(), false).doc("A commit reads its word back");
    let age = reg("age", uint(17), 0);

    let release = wire("releases", boolean());
    let strobes = wire("strobes_now", PairStrobes::shape());
    let stop = wire("stops", boolean());
    for pulse in [&release, &stop] {
        pulse.set(false);
    }
    strobes.set(zero(&PairStrobes::shape()));
    let finish = |code: AdminStatus| {
        status.next(code as u64);
        step.go(Step::Finish);
    };

    // Reads of whole lines, aligned like the fetcher's.
    let batch = lookup(
        io.max_read_request.value(),
        &[(0, UInt::lit(2, 4)), (1, UInt::lit(4, 4))],
        UInt::lit(8, 4),
    );
    // A list takes two words for each word.
    let words = mux(is_list, left.concat(UInt::lit(0, 1)), left.zext(22)).named("words_of_host");
    let lines = (words + 7).bits(3..22).named("lines_of_host");
    let in_batch = host.bits(6..9).zext(4) & batch.wrapping_sub(1);
    // Both limits stand since the step before.
    let data_lines = delayed("aligned_lines", batch.wrapping_sub(in_batch))
        .min(delayed("lines_left", lines.sat(4)))
        .named("data_lines");
    let mask = low_ones(view.event_log2, 16);
    let offset = (view.fetch_index & mask).concat(UInt::lit(0, 6)).zext(24);
    let command_address = view.event_ring.bits(24..64).concat(view.event_ring.bits(0..24) | offset);
    let slot = UInt::lit(ADMIN_SLOT.into(), 3);
    let orders_data = || {
        is_command.next(false);
        order.next(ReadOrder::new(slot, host.value(), data_lines));
        slot_lines.next(data_lines);
        step.go(Step::Order);
    };

    let code = |error: QueueError| UInt::lit(error as u64, 8);
    let error = lookup(
        io.outcome.value(),
        &[
            (outcome::REFUSED, code(QueueError::ReadRefused)),
            (outcome::POISONED, code(QueueError::ReadPoisoned)),
        ],
        code(QueueError::ReadTimeout),
    );

    // The line that the host is given: a memory for each word of a beat.
    let per_beat = admin.bits / 64;
    let rows = u64::from(8 / per_beat);
    let line: Vec<AsyncMem<UInt>> =
        (0..per_beat).map(|lane| AsyncMem::new(format!("line_{lane}"), uint(64), rows)).collect();
    let beat = io.beat.bits(0..bits_for(rows));
    let line_beat = join(&line.iter().map(|lane| lane.read(beat)).collect::<Vec<_>>());
    // It gets what a read of the core gives, or half a word: a counter. Their number is in the age, which is long enough
    // for all that was counted to show before the last round.
    let gathers = step.is(Step::Gather);
    let counter_number = age.bits(0..COUNTER_NUMBER_BITS);
    io.counter_asked.set(gathers);
    io.counter_number.set(counter_number);
    let low_half = counter_number.bit(0);
    let halves = mux(gathers, low_half.as_uint().concat((!low_half).as_uint()), UInt::lit(3, 2));
    let place = mux(gathers, counter_number.bits(1..4), word.value()).named("place");
    let filling = mux(gathers, io.counter.value().repeat(2), io.reply.value().data);
    let fills = gathers | (step.is(Step::Access) & io.reply.done);
    let lane_bits = per_beat.ilog2();
    for (number, lane) in (0..).zip(&line) {
        let here = place.bits(0..lane_bits.max(1)).eq(number) | (per_beat == 1);
        lane.write_lanes(fills & here, place.bits(lane_bits..3), filling, halves);
    }

    io.core.set(CoreRequest {
        valid: step.is(Step::Access),
        write: !(is(AdminOpcode::ReadBlock) | reads_back.value()),
        address: address.value(),
        data: value.value(),
    });
    // Words of the line that was fetched, and the one that comes next.
    let words_there: Vec<UInt> =
        (0..8).map(|word| io.data.bits(64 * word..64 * (word + 1))).collect();
    let next_word = one_more_of_few(word.value());

    // Cleared and set outside of the steps: so synthesis sees that flip-flops do it by themselves.
    let gives_health = step.is(Step::Decode) & is(AdminOpcode::Health) & !reserved.value();
    let committed =
        step.is(Step::Access) & io.reply.done & !io.reply.value().failed & reads_back.value();
    for (result, health) in results.iter().zip(&io.health) {
        when(step.is(Step::Idle), || result.next(UInt::lit(0, 64)))
            .elsewhen(gives_health, || result.next(health));
    }
    when(committed, || results[0].next(io.reply.data));

    step.switch()
        .on(Step::Idle, || {
            when(view.enabled & may_fetch, || {
                strobes.field(|s| s.fetched).set(UInt::lit(1, 4));
                is_command.next(true);
                order.next(ReadOrder::new(slot, command_address, UInt::lit(1, 4)));
                slot_lines.next(1);
                // The value comes last, and stays.
                word.next(FIRST_WORD);
                reserved.next(false);
                step.go(Step::Order);
            });
        })
        .on(Step::Order, || {
            slot_line.next(0);
            when(io.order.ready(), || step.go(Step::Fetch));
        })
        .on(Step::Fetch, || {
            when(io.ended, || {
                when(io.outcome.value().eq(outcome::DONE), || step.go(Step::Line)).otherwise(
                    || {
                        release.set(true);
                        when(is_command, || {
                            strobes.field(|s| s.error).set(error);
                            strobes.field(|s| s.returned).set(UInt::lit(1, 4));
                            step.go(Step::Idle);
                        })
                        .otherwise(|| finish(AdminStatus::HostReadFailed));
                    },
                );
            });
        })
        .on(Step::Line, || {
            step.go(Step::Take);
        })
        .on(Step::Take, || {
            value.next(select(word.value(), &words_there));
            word.next(next_word);
            step.go(Step::Access);
            when(is_command | (is_list & !word.bit(0)), || step.go(Step::Sort));
        })
        .on(Step::Sort, || {
            // The line is read again: others may have read theirs meanwhile.
            step.go(Step::Line);
            when(!is_command.value(), || address.next(value.trunc(ADDRESS_BITS))).otherwise(|| {
                let part = |field: WireField| {
                    let low = 8 * (field.offset as u32 % 8);
                    value.bits(low..low + 8 * field.bytes as u32)
                };
                // Whether the word of a field is the one that was taken.
                let holds = |field: WireField| word.eq((field.offset as u64 / 8 + 1) % 8);
                when(holds(command_layout::OPCODE), || {
                    let code = part(command_layout::OPCODE);
                    for (own, flag) in &opcodes {
                        flag.next(code.eq(*own as u64));
                    }
                    tag.next(part(command_layout::TAG));
                    when(!part(command_layout::RESERVED).is_zero(), || reserved.next(true));
                });
                when(holds(command_layout::HOST_ADDRESS), || host.next(value));
                when(holds(command_layout::COUNT), || {
                    let (count, core_word) =
                        (part(command_layout::COUNT), part(command_layout::CORE_WORD));
                    address.next(core_word.trunc(ADDRESS_BITS));
                    left.next(count.trunc(21));
                    last_word.next(count.eq(1));
                    none_left.next(false);
                    counted.next(!count.is_zero() & count.le(u64::from(MAX_COUNT)));
                    in_core.next(core_word.bits(ADDRESS_BITS..32).is_zero());
                });
                let in_tail = !at_most(word.value(), FIRST_WORD) | word.is_zero();
                when(in_tail & !value.is_zero(), || reserved.next(true));
                when(holds(command_layout::VALUE), || {
                    release.set(true);
                    strobes.field(|s| s.accepted).set(true);
                    step.go(Step::Decode);
                });
            });
        })
        .on(Step::Size, || step.go(Step::Drain))
        .on(Step::Decode, || {
            word.next(0);
            reads_back.next(false);
            age.next(0);
            let aligned = host.bits(0..HOST_ALIGNMENT.ilog2()).is_zero();
            let (counted, in_core) = (counted.value(), in_core.value());
            let bad_argument = || finish(AdminStatus::BadArgument);
            let transfers = aligned & counted & in_core;
            when(reserved, || finish(AdminStatus::BadCommand))
                .elsewhen(is(AdminOpcode::Nop) | is(AdminOpcode::Health), || {
                    finish(AdminStatus::Done);
                })
                .elsewhen(is(AdminOpcode::WriteBlock) | is_list, || {
                    // The read is sized with the next state of these registers.
                    when(transfers, || {
                        is_command.next(false);
                        step.go(Step::Size);
                    })
                    .otherwise(bad_argument);
                })
                .elsewhen(is(AdminOpcode::ReadBlock), || {
                    when(transfers, || step.go(Step::Access)).otherwise(bad_argument);
                })
                .elsewhen(is(AdminOpcode::Commit), || {
                    when(in_core, || step.go(Step::Access)).otherwise(bad_argument);
                })
                .elsewhen(is(AdminOpcode::ReadCounters), || {
                    word.next(7);
                    none_left.next(true);
                    when(aligned, || step.go(Step::Gather)).otherwise(bad_argument);
                })
                .elsewhen(is(AdminOpcode::ResetQueue), || {
                    when(is_pair, || step.go(Step::Drain)).otherwise(bad_argument);
                })
                .otherwise(|| finish(AdminStatus::BadCommand));
        })
        .on(Step::Access, || {
            when(io.reply.done, || {
                when(io.reply.failed, || {
                    release.set(true);
                    finish(AdminStatus::CoreTimeout);
                })
                .elsewhen(is(AdminOpcode::Commit), || {
                    reads_back.next(true);
                    when(reads_back, || finish(AdminStatus::Done));
                })
                .otherwise(|| {
                    address.next(address.wrapping_add(1));
                    left.next(left.wrapping_sub(1));
                    last_word.next(left.eq(2));
                    none_left.next(last_word);
                    when(is(AdminOpcode::ReadBlock), || {
                        word.next(next_word);
                        when(last_word | word.eq(7), || {
                            word.next(word);
                            step.go(Step::Write);
                        });
                    })
                    .elsewhen(last_word, || {
                        release.set(true);
                        finish(AdminStatus::Done);
                    })
                    .elsewhen(word.is_zero(), || {
                        host.next(host.wrapping_add(64));
                        slot_line.next(one_more_of_few(slot_line.value()));
                        slot_lines.next(one_less(slot_lines.value()));
                        step.go(Step::Line);
                        when(slot_lines.eq(1), || {
                            release.set(true);
                            step.go(Step::Size);
                        });
                    })
                    .otherwise(|| step.go(Step::Line));
                });
            });
        })
        .on(Step::Gather, || {
            age.next(age.wrapping_add(1));
            when(age.eq(SETTLE_CYCLES + u64::from(COUNTERS_PER_LINE) - 1), || {
                step.go(Step::Write);
            });
        })
        .on(Step::Write, || {
            when(io.write.ready(), || {
                host.next(host.wrapping_add(64));
                word.next(0);
                step.go(Step::Access);
                when(none_left, || finish(AdminStatus::Done));
            });
        })
        .on(Step::Drain, || {
            // Also the step in which the next read of data is ordered.
            when(is(AdminOpcode::ResetQueue), || {
                stop.set(age.is_zero());
                age.next(age.wrapping_add(1));
                let late = !age.bits(2..age.width()).is_zero();
                when(late & !io.busy_pairs.bit_at(value.bits(0..4)), || {
                    finish(AdminStatus::Done);
                })
                .elsewhen(age.eq(u64::from(CORE_TIMEOUT_CYCLES)), || {
                    finish(AdminStatus::PairTimeout);
                });
            })
            .otherwise(orders_data);
        })
        .on(Step::Finish, || {
            when(io.record.ready(), || step.go(Step::Idle));
        });

    io.order.offer(step.is(Step::Order), order.value());
    io.release.set(release);
    io.read.set(step.is(Step::Line));
    io.read_row.set(UInt::lit(ADMIN_SLOT.into(), 3).concat(slot_line));
    io.strobes.set(strobes);
    let stopped = UInt::lit(1, admin.queues).shift_left(value.bits(0..4));
    // A cycle late; the pair's events are looked at later still.
    let stops_pairs = reg("stops_pairs", uint(admin.queues), 0);
    stops_pairs.next(mux(stop, stopped, UInt::lit(0, admin.queues)));
    io.stop.set(stops_pairs);
    io.write.offer(
        step.is(Step::Write),
        PostedWrite::new(
            host.value(),
            // Known a cycle late: between two writes the core is read.
            delayed("host_is_long", is_long(host.value())),
            few_sum(word.zext(4), UInt::lit(1, 4)).concat(UInt::lit(0, 1)),
            line_beat,
        ),
    );
    let values: Vec<UInt> = results.iter().map(Reg::value).collect();
    let head = join(&[tag.value(), status.value(), UInt::lit(0, 24)]);
    io.record.offer(
        step.is(Step::Finish),
        PairRecord {
            pair: UInt::lit(admin.queues.into(), 5),
            record: join(&[head, values[0], values[1], values[2]]),
        },
    );
    io.finished.set(step.is(Step::Finish) & io.record.ready());
    io.idle.set(step.is(Step::Idle));
}
