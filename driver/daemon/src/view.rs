//! Answers to requests that only read.

use rmt_vm::state::dump::ContextDump;

use crate::engines::{Engines, Hosted};
use crate::names::{find_context, find_map, find_table, matcher_text, name_call};
use crate::protocol::{
    Answer, CountersView, EntryView, ProgramCounters, ProgramLine, ProgramView, Refusal,
    RefusalKind, Reply, Request, TableView,
};
use crate::worker::Host;

/// Reads what a request asks for.
pub(crate) fn read(engines: &mut Engines, request: Request) -> Reply {
    match request {
        Request::List => Ok(Answer::Programs(engines.programs().iter().map(line).collect())),
        Request::Platform => Ok(Answer::Platform(engines.platform.clone())),
        Request::Show { program } => {
            let (hosted, _) = engines.program(&program)?;
            Ok(Answer::Program(Box::new(program_view(hosted))))
        }
        Request::Table { program, table } => {
            let (hosted, _) = engines.program(&program)?;
            table_view(hosted, &table).map(Answer::Table)
        }
        Request::Context { program, context, key } => {
            let (hosted, card) = engines.program(&program)?;
            let number = find_context(&hosted.prepared.program, &context)?;
            hosted.contents(card);
            let mut dump = hosted.prepared.software.state().dump().contexts.swap_remove(number);
            if let Some(key) = key {
                keep_key(&mut dump, key);
            }
            Ok(Answer::Context(dump))
        }
        Request::Map { program, map } => {
            let (hosted, card) = engines.program(&program)?;
            let number = find_map(&hosted.prepared.program, &map)?;
            hosted.contents(card);
            let mut dump = hosted.prepared.software.state().dump();
            Ok(Answer::Map(dump.maps.swap_remove(number)))
        }
        Request::State { program } => {
            let (hosted, card) = engines.program(&program)?;
            hosted.contents(card);
            Ok(Answer::State(hosted.prepared.software.state().dump()))
        }
        Request::Install { .. }
        | Request::Remove { .. }
        | Request::Commit { .. }
        | Request::Place { .. }
        | Request::Counters => {
            let reason = "this request reads more than the engines";
            Err(Refusal::new(
                RefusalKind::BadRequest,
                reason,
                "report this as an error of the daemon",
            ))
        }
    }
}

fn keep_key(dump: &mut ContextDump, key: u64) {
    for set in &mut dump.sets {
        set.ways.retain(|way| way.key == key);
        let left: Vec<u8> = set.ways.iter().map(|way| way.way).collect();
        set.order.retain(|way| left.contains(way));
    }
    dump.sets.retain(|set| !set.ways.is_empty());
}

fn line(hosted: &Hosted) -> ProgramLine {
    let program = &hosted.prepared.program;
    let tables = hosted.prepared.software.state().tables();
    ProgramLine {
        name: program.name.clone(),
        hook: program.hook.name.clone(),
        hook_number: program.hook.number,
        wish: hosted.prepared.wish,
        engine: hosted.engine(),
        entries: tables.iter().map(|table| table.len() as u64).sum(),
        events: hosted.counters.events,
    }
}

fn program_view(hosted: &Hosted) -> ProgramView {
    let program = &hosted.prepared.program;
    let state = hosted.prepared.software.state();
    let cost = &hosted.prepared.report.event;
    let list = |items: Vec<String>| items.join(", ");
    ProgramView {
        line: line(hosted),
        ordering: hosted.prepared.report.ordering.class.text().to_owned(),
        outputs: program.outputs.iter().map(|o| format!("{}: {}", o.name, o.kind)).collect(),
        tables: (program.tables.iter().zip(state.tables()))
            .map(|(declared, table)| {
                let key = declared.key.iter().map(|f| format!("{}: {}", f.name, f.kind)).collect();
                let default = match table.default_action() {
                    Some(call) => {
                        let parameters = call.parameters().to_vec();
                        let call = rmt_isa::program::ActionCall {
                            action: call.action() as u16,
                            parameters,
                        };
                        name_call(program, &call).to_string()
                    }
                    None => "none".to_owned(),
                };
                format!(
                    "{}: {:?} on ({}), {} of {} entries, default {default}",
                    declared.name,
                    declared.kind,
                    list(key),
                    table.len(),
                    declared.capacity
                )
            })
            .collect(),
        actions: (program.actions.iter())
            .map(|action| {
                let parameters =
                    action.parameters.iter().map(|p| format!("{}: {}", p.name, p.kind));
                format!("{}({})", action.name, list(parameters.collect()))
            })
            .collect(),
        contexts: (program.contexts.iter())
            .map(|context| {
                let fields = context.fields.iter().map(|field| match field.ring {
                    Some(depth) => format!("{}: {}[{depth}]", field.name, field.kind),
                    None => format!("{}: {}", field.name, field.kind),
                });
                format!("{}[{}]: {}", context.name, context.capacity, list(fields.collect()))
            })
            .collect(),
        maps: (program.maps.iter())
            .map(|map| format!("{}: {:?} of {} {}", map.name, map.kind, map.capacity, map.value))
            .collect(),
        models: program.models.clone(),
        cost: (cost.instructions, cost.macs, cost.card_cycles),
    }
}

fn table_view(hosted: &Hosted, name: &str) -> Result<TableView, Refusal> {
    let program = &hosted.prepared.program;
    let number = find_table(program, name)?;
    let (declared, table) =
        (&program.tables[number], &hosted.prepared.software.state().tables()[number]);
    let entries = table.entries().into_iter().map(|(handle, entry)| EntryView {
        handle,
        matcher: matcher_text(declared, &entry.matcher),
        priority: entry.priority,
        call: name_call(program, &entry.call),
    });
    let default = table.default_action().map(|call| rmt_isa::program::ActionCall {
        action: call.action() as u16,
        parameters: call.parameters().to_vec(),
    });
    Ok(TableView {
        name: declared.name.clone(),
        default: default.map(|call| name_call(program, &call)),
        entries: entries.collect(),
    })
}

/// All counters that the worker has.
pub(crate) fn counters(host: &mut Host) -> CountersView {
    let engines = &host.engines;
    let programs = engines.programs().iter().map(|hosted| {
        let at = |quantile| hosted.times.value_at_quantile(quantile);
        let nanoseconds = match hosted.times.is_empty() {
            true => [0; 4],
            false => [at(0.5), at(0.99), at(0.999), hosted.times.max()],
        };
        let accuracy = hosted.watch.as_ref().and_then(crate::accuracy::Watch::share);
        let (engine, counters) = (hosted.engine(), hosted.counters.clone());
        (hosted.name().to_owned(), ProgramCounters { engine, counters, nanoseconds, accuracy })
    });
    let named = |list: Vec<(&'static str, u64)>| {
        list.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    let sources = host.sources.iter();
    let card = engines.card.as_ref();
    let card_counters = card.map(crate::engines::CardEngine::counters).unwrap_or_default();
    CountersView {
        programs: programs.collect(),
        sources: sources.map(|s| (s.name().to_owned(), named(s.counters()))).collect(),
        card: card_counters.into_iter().map(|(n, v)| (n.to_owned(), v.into())).collect(),
        card_works: card.is_some_and(crate::engines::CardEngine::works),
        events_without_program: engines.events_without_program,
        ..CountersView::default()
    }
}
