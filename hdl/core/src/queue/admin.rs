//! The admin queue: commands, one after the other.

use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::device::admin::command_layout;
use rmt_isa::device::admin::{HOST_ALIGNMENT, MAX_COUNT};
use rmt_isa::device::{AdminOpcode, AdminStatus, CORE_TIMEOUT_CYCLES, QueueError};
use rmt_isa::event::WireField;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::core_access::{CoreReply, CoreRequest};
use super::dispatch::PairRecord;
use super::pair::{PairStrobes, PairView};
use crate::tlp::request::{ROW_BITS, outcome};
use crate::tlp::{ADMIN_SLOT, LINE_WIDTH, PostedWrite, ReadOrder, beat_bits, join};

/// Fetches a command, does it, and writes its completion; then the next.
pub struct Admin {
    /// Queue pairs for events.
    pub queues: u32,
    /// Width of the stream to the host, bits.
    pub bits: u32,
}

/// Ports of [`Admin`].
#[derive(Clone, Ports)]
pub struct AdminIo {
    /// The admin queue's rings
    pub view: Input<PairView>,
    /// What happens to them
    pub strobes: Output<PairStrobes>,
    /// Largest read request, as in the sideband
    pub max_read_request: Input<UInt>,
    /// Reads of host memory
    pub order: StreamOut<ReadOrder>,
    /// The read has ended
    pub ended: Input<Bool>,
    /// How
    pub outcome: Input<UInt>,
    /// Its slot is free again
    pub release: Output<Bool>,
    /// Reads a line of the slot: in the next cycle it is in `data`
    pub read: Output<Bool>,
    /// Slot and line
    pub read_row: Output<UInt>,
    /// The line
    pub data: Input<UInt>,
    /// Access to the core
    pub core: Output<CoreRequest>,
    /// Its end
    pub reply: Input<CoreReply>,
    /// Writes to host memory
    pub write: StreamOut<PostedWrite>,
    /// Beat of its data that is wanted
    pub beat: Input<UInt>,
    /// Completions
    pub record: StreamOut<PairRecord>,
    /// Bit q: queue pair q is stopped
    pub stop: Output<UInt>,
    /// Bit q: events of pair q are inside
    pub busy_pairs: Input<UInt>,
    /// That beat of the line of counters
    pub counters: Input<UInt>,
    /// Results of a health command
    pub health: Vec<Input<UInt>>,
    /// A command ended
    pub finished: Output<Bool>,
    /// No command is under way
    pub idle: Output<Bool>,
}

#[derive(Clone, Copy, Debug, State)]
enum Step {
    /// Waits for a command in the ring.
    Idle,
    /// A read is ordered.
    Order,
    /// The read is under way.
    Fetch,
    /// A line is read from the slot.
    Line,
    /// The line is there.
    Take,
    /// The command is looked at.
    Decode,
    /// A word goes to the core, or comes from it.
    Access,
    /// A line goes to host memory.
    Write,
    /// A pair becomes idle.
    Drain,
    /// The completion is written.
    Finish,
}

impl Component for Admin {
    type Io = AdminIo;

    fn name(&self) -> String {
        format!("admin_queue_q{}_w{}", self.queues, self.bits)
    }

    fn doc(&self) -> String {
        "Admin commands, one after the other".into()
    }

    fn io(&self) -> AdminIo {
        AdminIo {
            view: input(PairView::shape()),
            strobes: output(PairStrobes::shape()),
            max_read_request: input(uint(3)),
            order: stream_out(ReadOrder::shape()),
            ended: input(boolean()),
            outcome: input(uint(2)),
            release: output(boolean()),
            read: output(boolean()),
            read_row: output(uint(ROW_BITS)),
            data: input(uint(LINE_WIDTH)),
            core: output(CoreRequest::shape()),
            reply: input(CoreReply::shape()),
            write: stream_out(PostedWrite::shape(self.bits)),
            beat: input(uint(beat_bits(self.bits))),
            record: stream_out(PairRecord::shape()),
            stop: output(uint(self.queues)),
            busy_pairs: input(uint(self.queues)),
            counters: input(uint(self.bits)),
            health: (0..3).map(|_| input(uint(64))).collect(),
            finished: output(boolean()),
            idle: output(boolean()),
        }
    }

    fn build(&self, io: AdminIo) {
        let view = io.view.value();
        let step = fsm("step", Step::Idle);
        let line_words: Vec<_> =
            (0..8).map(|word| reg_uninit(format!("line_{word}"), uint(64))).collect();
        // A command, or a line of words.
        let line = join(&line_words.iter().map(Reg::value).collect::<Vec<_>>());
        let is_command = reg("is_command", boolean(), false).doc("The read fetches a command");
        let order = reg_uninit("order_out", ReadOrder::shape());
        let status = reg("status", uint(8), 0);
        let results: Vec<_> = (0..3)
            .map(|index| reg(format!("result_{index}"), uint(64), UInt::lit(0, 64)))
            .collect();

        // The command.
        let part = |field: WireField| {
            line.bits(8 * field.offset as u32..8 * (field.offset + field.bytes) as u32)
        };
        let opcode = reg("opcode", uint(16), 0);
        let tag = reg("tag", uint(32), 0);
        let host = reg("host", uint(64), UInt::lit(0, 64)).doc("Next line of host memory");
        let address = reg("core_word", uint(ADDRESS_BITS), 0).doc("Next word of the core");
        let left = reg("words_left", uint(21), 0);
        let value = reg("value", uint(64), UInt::lit(0, 64));
        let is = |code: AdminOpcode| opcode.eq(code as u64);
        let is_list = reg("is_list", boolean(), false).doc("The opcode is that of a list");

        // Where in the slot and in the line.
        let slot_line = reg("slot_line", uint(3), 0).doc("Line of the slot that comes next");
        let slot_lines = reg("slot_lines", uint(4), 0).doc("Lines of the slot that are left");
        let word = reg("word", uint(3), 0).doc("Word of the line that comes next");
        let reads_back = reg("reads_back", boolean(), false).doc("A commit reads its word back");
        let age = reg("age", uint(17), 0);

        let release = wire("releases", boolean());
        let strobes = wire("strobes_now", PairStrobes::shape());
        let stop = wire("stops", boolean());
        let reads = wire("reads", boolean());
        for pulse in [&release, &stop, &reads] {
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
        let words =
            mux(is_list, left.concat(UInt::lit(0, 1)), left.zext(22)).named("words_of_host");
        let lines = (words + 7).bits(3..22).named("lines_of_host");
        let in_batch = host.bits(6..9).zext(4) & batch.wrapping_sub(1);
        let data_lines = batch.wrapping_sub(in_batch).min(lines.sat(4)).named("data_lines");
        let mask = UInt::lit(1, 16).shift_left(view.event_log2).wrapping_sub(1);
        let offset = (view.fetch_index & mask).concat(UInt::lit(0, 6)).zext(24);
        let command_address =
            view.event_ring.bits(24..64).concat(view.event_ring.bits(0..24) | offset);
        let orders_data = || {
            is_command.next(false);
            let slot = UInt::lit(ADMIN_SLOT.into(), 3);
            order.next(ReadOrder::new(slot, host.value(), data_lines));
            slot_lines.next(data_lines);
            step.go(Step::Order);
        };

        // Two words of the line: those that go to the core, or into the beat that the host is given. A list has
        // addresses in even words and values in odd ones.
        let beat = io.beat.value();
        let of_beat = match self.bits {
            64 => beat.bits(0..3),
            _ => beat.bits(0..2).concat(UInt::lit(0, 1)),
        };
        let place = mux(step.is(Step::Write), of_beat, word.value()).named("place");
        let every_second = |first: usize| {
            let words: Vec<UInt> =
                line_words.iter().skip(first).step_by(2).map(Reg::value).collect();
            select(place.bits(1..3), &words)
        };
        let (even, odd) = (every_second(0), every_second(1));
        let one = mux(place.bit(0), odd, even).named("line_word");
        let list_place = word.bits(1..3);
        let write_data =
            priority_mux(&[(is(AdminOpcode::Commit), value.value()), (is_list.value(), odd)], one);
        let reads_core = is(AdminOpcode::ReadBlock) | reads_back.value();
        io.core.set(CoreRequest {
            valid: step.is(Step::Access),
            write: !reads_core,
            address: mux(is_list, even.trunc(ADDRESS_BITS), address.value()),
            data: write_data,
        });
        let last_word = left.eq(1);
        let line_ends = mux(is_list, list_place.eq(3), word.eq(7)).named("line_ends");

        step.switch()
            .on(Step::Idle, || {
                when(view.running & view.has_events & !view.free.is_zero(), || {
                    strobes.field(|s| s.fetched).set(UInt::lit(1, 4));
                    is_command.next(true);
                    let slot = UInt::lit(ADMIN_SLOT.into(), 3);
                    let one = UInt::lit(1, 4);
                    order.next(ReadOrder::new(slot, command_address, one));
                    slot_lines.next(1);
                    for result in &results {
                        result.next(UInt::lit(0, 64));
                    }
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
                                let error = lookup(
                                    io.outcome.value(),
                                    &[
                                        (
                                            outcome::REFUSED,
                                            UInt::lit(QueueError::ReadRefused as u64, 8),
                                        ),
                                        (
                                            outcome::POISONED,
                                            UInt::lit(QueueError::ReadPoisoned as u64, 8),
                                        ),
                                    ],
                                    UInt::lit(QueueError::ReadTimeout as u64, 8),
                                );
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
                reads.set(true);
                step.go(Step::Take);
            })
            .on(Step::Take, || {
                for (low, word) in (0..512).step_by(64).zip(&line_words) {
                    word.next(io.data.bits(low..low + 64));
                }
                word.next(0);
                slot_line.next(slot_line.wrapping_add(1));
                slot_lines.next(slot_lines.wrapping_sub(1));
                host.next(host.wrapping_add(64));
                when(is_command, || {
                    release.set(true);
                    strobes.field(|s| s.accepted).set(true);
                    step.go(Step::Decode);
                })
                .otherwise(|| step.go(Step::Access));
            })
            .on(Step::Decode, || {
                let code = part(command_layout::OPCODE);
                let given = part(command_layout::HOST_ADDRESS);
                let count = part(command_layout::COUNT);
                let number = part(command_layout::VALUE);
                let core_word = part(command_layout::CORE_WORD);
                opcode.next(code);
                is_list.next(code.eq(AdminOpcode::WriteList as u64));
                tag.next(part(command_layout::TAG));
                host.next(given);
                address.next(core_word.trunc(ADDRESS_BITS));
                left.next(count.trunc(21));
                value.next(number);
                reads_back.next(false);
                age.next(0);
                let reserved = !part(command_layout::RESERVED).is_zero()
                    | !part(command_layout::RESERVED_TAIL).is_zero();
                let aligned = given.bits(0..HOST_ALIGNMENT.ilog2()).is_zero();
                let counted = !count.is_zero() & count.le(u64::from(MAX_COUNT));
                let in_core = core_word.bits(ADDRESS_BITS..32).is_zero();
                let bad_argument = || finish(AdminStatus::BadArgument);
                when(reserved, || finish(AdminStatus::BadCommand)).otherwise(|| {
                    switch(code)
                        .is(AdminOpcode::Nop as u64, || finish(AdminStatus::Done))
                        .any_of(
                            &[AdminOpcode::WriteBlock as u64, AdminOpcode::WriteList as u64],
                            || {
                                // The read is sized with the next state of these registers.
                                when(aligned & counted & in_core, || {
                                    is_command.next(false);
                                    step.go(Step::Drain);
                                })
                                .otherwise(bad_argument);
                            },
                        )
                        .is(AdminOpcode::ReadBlock as u64, || {
                            word.next(0);
                            when(aligned & counted & in_core, || step.go(Step::Access))
                                .otherwise(bad_argument);
                        })
                        .is(AdminOpcode::Commit as u64, || {
                            when(in_core, || step.go(Step::Access)).otherwise(bad_argument);
                        })
                        .is(AdminOpcode::ReadCounters as u64, || {
                            word.next(7);
                            left.next(0);
                            when(aligned, || step.go(Step::Write)).otherwise(bad_argument);
                        })
                        .is(AdminOpcode::ResetQueue as u64, || {
                            when(number.lt(u64::from(self.queues)), || step.go(Step::Drain))
                                .otherwise(bad_argument);
                        })
                        .is(AdminOpcode::Health as u64, || {
                            for (result, health) in results.iter().zip(&io.health) {
                                result.next(health);
                            }
                            finish(AdminStatus::Done);
                        })
                        .default(|| finish(AdminStatus::BadCommand));
                });
            })
            .on(Step::Access, || {
                when(io.reply.done, || {
                    when(io.reply.failed, || {
                        release.set(true);
                        finish(AdminStatus::CoreTimeout);
                    })
                    .elsewhen(is(AdminOpcode::Commit), || {
                        reads_back.next(true);
                        when(reads_back, || {
                            results[0].next(io.reply.data);
                            finish(AdminStatus::Done);
                        });
                    })
                    .otherwise(|| {
                        address.next(address.wrapping_add(1));
                        left.next(left.wrapping_sub(1));
                        word.next(word.wrapping_add(mux(
                            is_list,
                            UInt::lit(2, 3),
                            UInt::lit(1, 3),
                        )));
                        when(is(AdminOpcode::ReadBlock), || {
                            for (index, place) in (0_u64..).zip(&line_words) {
                                when(word.eq(index), || place.next(io.reply.data));
                            }
                            when(last_word | line_ends, || {
                                word.next(word);
                                step.go(Step::Write);
                            });
                        })
                        .elsewhen(last_word, || {
                            release.set(true);
                            finish(AdminStatus::Done);
                        })
                        .elsewhen(line_ends, || {
                            step.go(Step::Line);
                            when(slot_lines.is_zero(), || {
                                release.set(true);
                                step.go(Step::Drain);
                            });
                        });
                    });
                });
            })
            .on(Step::Write, || {
                when(io.write.ready(), || {
                    host.next(host.wrapping_add(64));
                    word.next(0);
                    step.go(Step::Access);
                    when(left.is_zero(), || finish(AdminStatus::Done));
                });
            })
            .on(Step::Drain, || {
                // Also the step in which the next read of data is ordered.
                when(is(AdminOpcode::ResetQueue), || {
                    stop.set(age.is_zero());
                    age.next(age.wrapping_add(1));
                    when(age.ge(4) & !io.busy_pairs.bit_at(value.bits(0..4)), || {
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
        io.read.set(reads);
        io.read_row.set(UInt::lit(ADMIN_SLOT.into(), 3).concat(slot_line));
        io.strobes.set(strobes);
        let stopped = UInt::lit(1, self.queues).shift_left(value.bits(0..4));
        io.stop.set(mux(stop, stopped, UInt::lit(0, self.queues)));
        let line_beat = if self.bits == 64 { one } else { join(&[even, odd]) };
        io.write.offer(
            step.is(Step::Write),
            PostedWrite::new(
                host.value(),
                ((word.value() + 1).concat(UInt::lit(0, 1))).trunc(5),
                // Counters go on counting meanwhile: each one is whole, all of one cycle they are not.
                mux(is(AdminOpcode::ReadCounters), io.counters.value(), line_beat),
            ),
        );
        let values: Vec<UInt> = results.iter().map(Reg::value).collect();
        let head = join(&[tag.value(), status.value(), UInt::lit(0, 24)]);
        io.record.offer(
            step.is(Step::Finish),
            PairRecord {
                pair: UInt::lit(self.queues.into(), 5),
                record: join(&[head, values[0], values[1], values[2]]),
            },
        );
        io.finished.set(step.is(Step::Finish) & io.record.ready());
        io.idle.set(step.is(Step::Idle));
    }
}
