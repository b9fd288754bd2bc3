//! Signals of configuration space from one clock domain to the other.

use rtl_builder::bundle;
use rtl_builder::prelude::*;
use rtl_builder::stock::AsyncFifo;
use rtl_builder::stock::stream::Stream;

use super::Link;
use crate::tlp::Sideband;

/// Changes that wait.
const WAITING: u32 = 4;

/// Tells the card's side each change of the sideband, all signals at once and in their order. A change that is undone
/// while others wait may be left out, but no function-level reset is.
pub struct SidebandCrossing;

/// Ports of [`SidebandCrossing`].
#[derive(Clone, Ports)]
pub struct SidebandCrossingIo {
    /// As the block says
    pub link: Input<Sideband<Link>>,
    /// What the card was told last; all 0 after reset, so the link is down
    pub card: Output<Sideband>,
}

impl Component for SidebandCrossing {
    type Io = SidebandCrossingIo;

    fn name(&self) -> String {
        "sideband_crossing".into()
    }

    fn doc(&self) -> String {
        "Configuration space's signals from the link's clock domain to the card's".into()
    }

    fn io(&self) -> SidebandCrossingIo {
        SidebandCrossingIo { link: input(Sideband::shape()), card: output(Sideband::shape()) }
    }

    fn build(&self, io: SidebandCrossingIo) {
        let width = bundle::width(&Sideband::<Link>::shape());
        let queue = instance("queue", AsyncFifo::<Link, Main>::new(width, WAITING));

        let told = reg("told", Sideband::<Link>::shape(), zero(&Sideband::shape()))
            .doc("What was said last");
        let is_new = reg("is_new", Bool::<Link>::of(), false).doc("It has yet to enter the queue");
        let waits = reg("reset_waits", Bool::<Link>::of(), false).doc("A reset has yet to be told");
        let link = io.link.value();
        let now = Sideband { function_reset: link.function_reset | waits.value(), ..link };
        let differs = pack::<_, Link>(now).ne(pack(told.value()));
        let tells = (!is_new & differs).named("tells");
        // While the last word says "reset", another pulse adds nothing: the end of it is yet to come.
        waits.next(now.function_reset & !tells & !told.value().function_reset);
        when(tells, || told.next(now));
        is_new.next(tells | (is_new & !queue.push.ready.value()));
        queue.push.offer(is_new.value(), pack(told.value()));

        let known = reg("known", Sideband::shape(), zero(&Sideband::shape()));
        when(queue.pop.valid(), || known.next(unpack(&Sideband::shape(), queue.pop.payload())));
        queue.pop.accept(Bool::lit(true));
        io.card.set(known.value());
    }
}
